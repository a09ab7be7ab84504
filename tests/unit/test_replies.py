"""What an agent asked for, put into the outbox's words or refused."""

from typing import Any

import pytest

from evorelay.model.errors import Code, Refusal
from evorelay.model.outgoing import OutgoingMedia
from evorelay.relay.commands import SendContact, SendLocation, SendParams
from evorelay.relay.replies import details_of, digest_of, label_of, media_of, outgoing_of

PHOTO = OutgoingMedia(blob="a" * 64, mimetype="image/jpeg", size=9, filename="foto.jpg")
PAPER = OutgoingMedia(blob="b" * 64, mimetype="application/pdf", size=9, filename="nota.pdf")
VOICE = OutgoingMedia(blob="c" * 64, mimetype="audio/ogg", size=9, is_voice=True)
PLACE = SendLocation(latitude=-23.55, longitude=-46.63, name="Sé")
JOAO = SendContact(name="João", phone="+55 11 97777-0000")


def params(**fields: Any) -> SendParams:
    return SendParams(**{"ticket_id": "t", "op_id": "o", **fields})


@pytest.mark.parametrize(
    ("asked", "media", "type_", "label"),
    [
        (params(content="oi"), None, "text", "oi"),
        (params(content="veja"), PHOTO, "image", "veja"),
        (params(), PHOTO, "image", "[Imagem]"),
        (params(type="document"), PHOTO, "document", "[Documento] foto.jpg"),
        (params(), PAPER, "document", "[Documento] nota.pdf"),
        (params(), VOICE, "audio", "[Áudio]"),
        (params(location=PLACE), None, "location", "[Localização] Sé"),
        (params(contacts=[JOAO]), None, "contact", "[Contato] João"),
        (params(type="reaction", content="👍", reply_to="m"), None, "reaction", "👍"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_type_follows_from_what_is_given(
    asked: SendParams, media: OutgoingMedia | None, type_: str, label: str
) -> None:
    outgoing = outgoing_of(asked, media)
    assert (outgoing.type, label_of(outgoing)) == (type_, label)


@pytest.mark.parametrize(
    ("asked", "media", "code"),
    [
        (params(content=" \n"), None, Code.BAD_REQUEST),
        (params(type="image"), None, Code.BAD_REQUEST),
        (params(type="video"), PHOTO, Code.MEDIA_TYPE),
        (params(content="oi", type="text"), PHOTO, Code.BAD_REQUEST),
        (params(type="reaction", content="👍"), None, Code.BAD_REQUEST),
        (params(type="reaction", content="legal", reply_to="m"), None, Code.BAD_REQUEST),
        (params(type="reaction", content="👍" * 40, reply_to="m"), None, Code.BAD_REQUEST),
        (params(type="location"), None, Code.BAD_REQUEST),
        (params(location=PLACE, contacts=[JOAO]), None, Code.BAD_REQUEST),
        (params(contacts=[SendContact(name="x", phone="0000-0000")]), None, Code.BAD_REQUEST),
    ],
)
def test_what_makes_no_message_is_refused(
    asked: SendParams, media: OutgoingMedia | None, code: Code
) -> None:
    with pytest.raises(Refusal) as refusal:
        outgoing_of(asked, media)
    assert refusal.value.code is code
    assert refusal.value.message


def test_the_digest_tells_commands_apart_and_knows_the_same_again() -> None:
    asked = params(content="oi", reply_to="m")
    assert digest_of(asked) == digest_of(params(content="oi", reply_to="m"))
    others = [params(content="oi!", reply_to="m"), params(content="oi"), params(ticket_id="u")]
    assert len({digest_of(one) for one in [asked, *others]}) == 4


def test_a_row_looks_as_if_its_webhook_had_made_it() -> None:
    place = outgoing_of(params(location=PLACE), None)
    assert details_of(place) == {"latitude": -23.55, "longitude": -46.63, "name": "Sé"}
    card = outgoing_of(params(contacts=[JOAO]), None)
    assert card.contacts[0].phone == "5511977770000"
    assert details_of(card)["contacts"][0]["phones"] == ["5511977770000"]
    row = media_of(VOICE)
    assert (row["id"], row["url"], row["is_voice"]) == ("c" * 64, f"/media/{'c' * 64}", True)
