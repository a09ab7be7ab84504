"""Replies as Evolution wants them said, in both dialects (research/evolution.md §4.1)."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evorelay.model.outgoing import (
    ContactCard,
    Delivery,
    Location,
    Outgoing,
    OutgoingMedia,
    OutgoingType,
    Target,
)
from evorelay.protocol.evolution.request import framed
from evorelay.protocol.evolution.requests import BASE64_MAX, send_request
from evorelay.protocol.evolution.version import Server

V1 = Server(1, takes_own_ids=False)
V2 = Server(2, takes_own_ids=False)
V24 = Server(2, takes_own_ids=True)
FILE = b"some bytes"
TARGET = Target(
    whatsapp_id="Q", jid="1-2@g.us", from_me=False, participant="7@lid", content="antes"
)
KEY = {"remoteJid": "1-2@g.us", "fromMe": False, "id": "Q", "participant": "7@lid"}


def media(mimetype: str = "image/png", **more: Any) -> OutgoingMedia:
    return OutgoingMedia(**{"blob": "a" * 64, "mimetype": mimetype, "size": len(FILE), **more})


def sent(server: Server, outgoing: Outgoing, **more: Any) -> tuple[str, Any]:
    """The path, and the JSON as it arrives with the file in it."""
    request = send_request(server, Delivery(number="5511", outgoing=outgoing, **more))
    assert request.method == "POST"
    frame = framed(request, "boundary")
    filling = base64.b64encode(FILE) if request.file is not None else b""
    return request.path, json.loads(frame.head + filling + frame.tail)


B64 = base64.b64encode(FILE).decode()


@pytest.mark.parametrize(
    ("outgoing", "action", "v2", "v1"),
    [
        (Outgoing(type="text", content="oi"), "sendText", {"text": "oi"},
         {"textMessage": {"text": "oi"}}),
        (Outgoing(type="image", content="olha", media=media()), "sendMedia",
         {"mediatype": "image", "mimetype": "image/png", "caption": "olha", "media": B64},
         {"mediaMessage": {"mediatype": "image", "mimetype": "image/png", "caption": "olha",
                           "media": B64}}),
        (Outgoing(type="video", content="", media=media("video/mp4", filename="v.mp4")),
         "sendMedia",
         {"mediatype": "video", "mimetype": "video/mp4", "fileName": "v.mp4", "media": B64},
         {"mediaMessage": {"mediatype": "video", "mimetype": "video/mp4", "fileName": "v.mp4",
                           "media": B64}}),
        (Outgoing(type="document", content="", media=media("application/pdf")), "sendMedia",
         {"mediatype": "document", "mimetype": "application/pdf", "fileName": "document",
          "media": B64},
         {"mediaMessage": {"mediatype": "document", "mimetype": "application/pdf",
                           "fileName": "document", "media": B64}}),
        (Outgoing(type="audio", content="", media=media("audio/mpeg")), "sendMedia",
         {"mediatype": "audio", "mimetype": "audio/mpeg", "media": B64},
         {"mediaMessage": {"mediatype": "audio", "mimetype": "audio/mpeg", "media": B64}}),
        (Outgoing(type="audio", content="", media=media("audio/ogg", is_voice=True)),
         "sendWhatsAppAudio", {"audio": B64}, {"audioMessage": {"audio": B64}}),
        (Outgoing(type="sticker", content="", media=media("image/webp")), "sendSticker",
         {"sticker": B64}, {"stickerMessage": {"image": B64}}),
        (Outgoing(type="location", content="", location=Location(latitude=-23.5, longitude=0)),
         "sendLocation", {"latitude": -23.5, "longitude": 0, "name": "", "address": ""},
         {"locationMessage": {"latitude": -23.5, "longitude": 0, "name": "", "address": ""}}),
        (Outgoing(type="contact", content="", contacts=[
            ContactCard(name="João", phone="5511977770000", email="j@example.com")]),
         "sendContact",
         {"contact": [{"fullName": "João", "wuid": "5511977770000",
                       "phoneNumber": "+5511977770000", "email": "j@example.com"}]},
         {"contactMessage": [{"fullName": "João", "wuid": "5511977770000",
                              "phoneNumber": "+5511977770000", "email": "j@example.com"}]}),
    ],
)  # fmt: skip
def test_every_kind_of_reply(outgoing: Outgoing, action: str, v2: Any, v1: Any) -> None:
    assert sent(V2, outgoing) == (f"message/{action}", {"number": "5511"} | v2)
    assert sent(V1, outgoing) == (f"message/{action}", {"number": "5511", "options": {}} | v1)


def test_a_reaction_names_its_message_and_nothing_else() -> None:
    outgoing = Outgoing(type="reaction", content="", target="m1")
    part = {"key": KEY, "reaction": ""}
    assert sent(V24, outgoing, target=TARGET, own_id="X") == ("message/sendReaction", part)
    assert sent(V1, outgoing, target=TARGET) == ("message/sendReaction", {"reactionMessage": part})


def test_quotes_and_delays_are_options_in_1x_and_flat_in_2x() -> None:
    outgoing = Outgoing(type="text", content="oi", target="m1", delay_ms=1200)
    quoted = {"key": KEY, "message": {"conversation": "antes"}}
    assert sent(V2, outgoing, target=TARGET)[1] == {
        "number": "5511",
        "delay": 1200,
        "quoted": quoted,
        "text": "oi",
    }
    assert sent(V1, outgoing, target=TARGET)[1]["options"] == {
        "delay": 1200,
        "presence": "composing",
        "quoted": quoted,
    }


@pytest.mark.parametrize(("server", "own_id"), [(V1, None), (V2, None), (V24, "OURS")])
def test_our_own_id_goes_only_to_a_server_that_takes_it(server: Server, own_id: str | None) -> None:
    body = sent(server, Outgoing(type="text", content="oi"), own_id="OURS")[1]
    assert body.get("messageId") == own_id


LARGE = media("video/mp4", size=BASE64_MAX + 1)


def test_a_large_file_is_a_form_of_texts_for_2x() -> None:
    """#1885; a delay would be a text where the schema wants an integer."""
    outgoing = Outgoing(type="video", content="a", media=LARGE, delay_ms=500)
    request = send_request(V24, Delivery(number="5511", outgoing=outgoing, own_id="OURS"))
    assert request.is_form
    assert request.body == {
        "number": "5511",
        "messageId": "OURS",
        "mediatype": "video",
        "mimetype": "video/mp4",
        "caption": "a",
    }
    frame = framed(request, "b0undary")
    assert frame.content_type == "multipart/form-data; boundary=b0undary"
    assert frame.head.endswith(b'name="file"; filename="file"\r\nContent-Type: video/mp4\r\n\r\n')
    assert frame.tail == b"\r\n--b0undary--\r\n"


@pytest.mark.parametrize("server", [V1, V2])
def test_a_large_file_is_base64_for_1x_alone(server: Server) -> None:
    """2.3.1 and newer refuse it (#1885); a quote goes along as a field of the form."""
    outgoing = Outgoing(type="video", content="a", media=LARGE, target="m1")
    request = send_request(server, Delivery(number="1", outgoing=outgoing, target=TARGET))
    assert request.is_form is (server is V2)
    assert request.body is not None
    assert ("quoted[key][id]" in request.body) is (server is V2)


@given(
    st.sampled_from([V1, V2, V24]),
    st.sampled_from(["image", "video", "audio", "document", "sticker"]),
    st.text(max_size=40),
    st.none() | st.text(max_size=20),
    st.booleans(),
)
def test_the_file_lands_in_its_place_whatever_the_texts_around_it(
    server: Server, kind: OutgoingType, content: str, filename: str | None, is_voice: bool
) -> None:
    outgoing = Outgoing(
        type=kind, content=content, media=media(filename=filename, is_voice=is_voice)
    )
    _, body = sent(server, outgoing)
    part = {**body, **next((v for v in body.values() if isinstance(v, dict) and v), {})}
    found = [part.get(name) for name in ("media", "audio", "sticker", "image")]
    assert found.count(B64) == 1


def test_no_header_can_be_smuggled_into_a_form() -> None:
    odd = media("a/b\r\nX: y", size=BASE64_MAX + 1, filename="n\r\nX: y")
    outgoing = Outgoing(type="document", content="", media=odd)
    frame = framed(send_request(V2, Delivery(number="1", outgoing=outgoing)), "b")
    assert frame.head.endswith(b"Content-Type: a/bX: y\r\n\r\n")
