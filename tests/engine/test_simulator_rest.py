"""The simulated REST API: every call a relay makes, in the shapes of each version and channel."""

import base64
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from evorelay.simulator.media import photo, voice_note
from evorelay.simulator.rest.sending import BASE64_MAX_BYTES
from tests.engine.simulating import FEED, META, NEXT, TO, V1, V2, a_bench, until

CAPTURES = Path(__file__).parents[3] / "shared" / "payloads" / "rest-live"
PNG = base64.b64encode(photo(0).content).decode()
OGG = base64.b64encode(voice_note(2).content).decode()
PLACE = {"latitude": -23.5, "longitude": -46.6, "name": "Sé", "address": "SP"}
CARD = {"fullName": "João", "wuid": "5511977770000", "phoneNumber": "+55 11 97777-0000"}
KEY = {"remoteJid": f"{TO}@s.whatsapp.net", "fromMe": False, "id": "3EB0EXT1"}

V2_SENDS: dict[str, tuple[dict[str, Any], str, str]] = {
    "message/sendText": ({"text": "Oi"}, "text", "conversation"),
    "message/sendMedia": (
        {"mediatype": "image", "media": PNG, "caption": "foto", "fileName": "a.png"},
        "image",
        "imageMessage",
    ),
    "message/sendWhatsAppAudio": ({"audio": OGG}, "voice", "audioMessage"),
    "message/sendSticker": ({"sticker": PNG}, "sticker", "stickerMessage"),
    "message/sendLocation": (PLACE, "location", "locationMessage"),
    "message/sendContact": ({"contact": [CARD]}, "contact", "contactMessage"),
    "message/sendReaction": ({"key": KEY, "reaction": "👍"}, "reaction", "reactionMessage"),
    "message/sendPoll": (
        {"name": "Quando?", "selectableCount": 1, "values": ["a", "b"]},
        "poll",
        "pollCreationMessageV3",
    ),
}
V1_SENDS: dict[str, tuple[dict[str, Any], str, str]] = {
    "message/sendText": ({"textMessage": {"text": "Oi"}}, "text", "extendedTextMessage"),
    "message/sendMedia": (
        {"mediaMessage": {"mediatype": "image", "media": PNG, "caption": "foto"}},
        "image",
        "imageMessage",
    ),
    "message/sendWhatsAppAudio": ({"audioMessage": {"audio": OGG}}, "voice", "audioMessage"),
    "message/sendSticker": ({"stickerMessage": {"image": PNG}}, "sticker", "stickerMessage"),
    "message/sendLocation": ({"locationMessage": PLACE}, "location", "locationMessage"),
    "message/sendContact": ({"contactMessage": [CARD]}, "contact", "contactMessage"),
    "message/sendReaction": (
        {"reactionMessage": {"key": KEY, "reaction": ""}},
        "reaction",
        "reactionMessage",
    ),
}


@pytest.mark.parametrize(
    ("dialect", "path"),
    [*((V2, path) for path in V2_SENDS), *((V1, path) for path in V1_SENDS)],
)
async def test_every_send_is_answered_told_and_found(dialect: str, path: str) -> None:
    body, kind, content = (V2_SENDS if dialect == V2 else V1_SENDS)[path]
    async with a_bench(dialect) as bench:
        answer = await bench.post(path, number=TO, **body)
        assert answer.status_code == 201, answer.text
        made = answer.json()
        assert content in made["message"]
        await bench.settle()
        assert bench.echoes()[0]["key"] == made["key"]
        [sent] = bench.simulator.sent()
        assert (sent.recipient, sent.type, sent.id) == (TO, kind, made["key"]["id"])
        found = (await bench.post("chat/findMessages", where={"key": made["key"]})).json()
        rows = found if dialect == V1 else found["messages"]["records"]
        assert [row["key"]["id"] for row in rows] == [sent.id]


async def test_what_was_said_of_a_place_a_person_and_a_poll_is_what_arrives() -> None:
    async with a_bench() as bench:
        for path in ("message/sendLocation", "message/sendContact", "message/sendPoll"):
            await bench.post(path, number=TO, **V2_SENDS[path][0])
        two = [CARD, {"fullName": "Ana", "phoneNumber": "+55 11 98888-0000"}]
        several = await bench.post("message/sendContact", number=TO, contact=two)
        contacts = several.json()["message"]["contactsArrayMessage"]["contacts"]
        assert [card["displayName"] for card in contacts] == ["João", "Ana"]
        assert "waid=5511988880000:" in contacts[1]["vcard"]
        await bench.settle(4)
        said = {key: part for echo in bench.echoes() for key, part in echo["message"].items()}
        assert said["locationMessage"]["degreesLatitude"] == -23.5
        assert said["contactMessage"]["displayName"] == "João"
        assert [o["optionName"] for o in said["pollCreationMessageV3"]["options"]] == ["a", "b"]


async def test_a_file_comes_as_base64_or_in_a_form_and_is_kept_whole() -> None:
    async with a_bench() as bench:
        form = {"number": TO, "mediatype": "document", "fileName": "n.pdf", "caption": "nota"}
        answer = await bench.client.post(
            f"/message/sendMedia/{bench.instance}",
            data=form,
            files={"file": ("upload.pdf", b"%PDF-1.4 \r\n\0\xff", "application/pdf")},
        )
        assert answer.status_code == 201, answer.text
        await bench.post("message/sendMedia", number=TO, mediatype="image", media=PNG)
        await bench.post(
            "message/sendMedia", number=TO, mediatype="image", media="https://files.example/a.png"
        )
        document, image, linked = (sent.media for sent in bench.simulator.sent())
        assert document is not None
        assert document.content == b"%PDF-1.4 \r\n\0\xff"
        assert (document.filename, document.mimetype) == ("n.pdf", "application/pdf")
        assert image is not None
        assert image.content == photo(0).content
        assert linked is not None
        assert linked.link == "https://files.example/a.png"


@pytest.mark.parametrize(
    ("dialect", "status"), [(V1, 201), ("2.2.3 baileys", 201), (V2, 500), (META, 500), (NEXT, 500)]
)
async def test_large_base64_is_too_much_from_2_3_on(dialect: str, status: int) -> None:
    async with a_bench(dialect) as bench:
        large = base64.b64encode(bytes(BASE64_MAX_BYTES + 1)).decode()
        part = {"mediatype": "document", "fileName": "n.pdf", "media": large}
        body = {"mediaMessage": part} if dialect == V1 else part
        answer = await bench.post("message/sendMedia", number=TO, **body)
        assert answer.status_code == status
        assert ("Maximum call stack" in answer.text) is (status == 500)


_NAMELESS = "For base64 the file name must be informed."


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"mediatype": "image"}, ["Owned media must be a url or base64"]),
        ({"mediatype": "image", "media": "data:image/png;base64,AAAA"}, None),
        ({"mediatype": "image", "media": "http://minio/a.png"}, None),
        (
            {"mediatype": "document", "media": "AAAA"},
            [_NAMELESS],
        ),
    ],
)
async def test_a_file_evolution_would_not_take_is_refused(
    body: dict[str, str], message: list[str] | None
) -> None:
    async with a_bench() as bench:
        answer = await bench.post("message/sendMedia", number=TO, **body)
        assert answer.status_code == 400
        wanted = message or ["Owned media must be a url or base64"]
        assert answer.json()["response"]["message"] == wanted
        assert bench.texts() == []


@pytest.mark.parametrize(
    ("dialect", "path"),
    [(META, "message/sendPoll"), (META, "message/sendSticker"), (FEED, "message/sendLocation")],
)
async def test_what_a_channel_cannot_send_is_refused(dialect: str, path: str) -> None:
    async with a_bench(dialect) as bench:
        answer = await bench.post(path, number=TO, **V2_SENDS[path][0])
        assert answer.status_code == 400
        assert "Method not available" in answer.json()["response"]["message"][0]


async def test_a_quoted_text_names_what_it_answers() -> None:
    async with a_bench() as bench:
        asked = await bench.simulator.say(bench.instance, "Tem em azul?")
        phone = bench.station.instance.people[0].phone
        answer = await bench.post(
            "message/sendText", number=phone, text="Tem", quoted={"key": {"id": asked}}
        )
        context = answer.json()["contextInfo"]
        assert context["stanzaId"] == asked
        assert context["quotedMessage"] == {"conversation": "Tem em azul?"}
        assert bench.simulator.sent()[0].quotes == asked


async def test_a_delay_holds_the_answer_of_a_linked_phone_alone() -> None:
    """Measured: the Cloud API ignores it (research/evolution-live.md)."""
    for dialect, is_held in ((V2, True), (META, False)):
        async with a_bench(dialect) as bench:
            try:
                await bench.client.post(
                    f"/message/sendText/{bench.instance}",
                    json={"number": TO, "text": "Oi", "delay": 5000},
                    timeout=1 if is_held else 30,
                )
                assert not is_held
            except httpx.ReadTimeout:
                assert is_held


async def test_messages_of_a_time_window_are_found_newest_first() -> None:
    async with a_bench() as bench:
        heard = await bench.simulator.say(bench.instance, "Oi?")
        sent = (await bench.send()).json()["key"]["id"]
        rows = await bench.found()
        assert {row["key"]["id"] for row in rows} == {heard, sent}
        window = {"gte": "2020-01-01T00:00:00Z", "lte": "2099-01-01T00:00:00Z"}
        assert len(await bench.found(messageTimestamp=window)) == 2
        assert [row["key"]["id"] for row in await bench.found(key={"fromMe": False})] == [heard]
        past = {"gte": "2020-01-01T00:00:00Z", "lte": "2021-01-01T00:00:00Z"}
        assert await bench.found(messageTimestamp=past) == []
        # As in Evolution's source: with one end alone it filters nothing.
        assert len(await bench.found(messageTimestamp={"gte": "2099-01-01T00:00:00Z"})) == 2


async def test_1_8_2_knows_no_time_window_and_answers_a_list() -> None:
    async with a_bench(V1) as bench:
        for number in range(3):
            await bench.post("message/sendText", number=TO, textMessage={"text": f"n{number}"})
        past = {"gte": "2020-01-01T00:00:00Z", "lte": "2021-01-01T00:00:00Z"}
        path = "chat/findMessages"
        found = (await bench.post(path, where={"messageTimestamp": past}, limit=2)).json()
        assert [row["message"]["extendedTextMessage"]["text"] for row in found] == ["n2", "n1"]


async def test_an_instance_may_keep_no_messages() -> None:
    async with a_bench(keeps_messages=False) as bench:
        id_ = (await bench.send()).json()["key"]["id"]
        assert await bench.found() == []
        media = await bench.post("chat/getBase64FromMediaMessage", message={"key": {"id": id_}})
        assert media.json()["response"]["message"] == ["Message not found"]


@pytest.mark.parametrize("where", ["base64", "url", "nowhere"])
async def test_a_file_is_in_the_webhook_or_linked_or_must_be_asked_for(where: str) -> None:
    async with a_bench(files_in=where) as bench:
        said = await bench.simulator.say(bench.instance, "", kind="image")
        await until(lambda: bench.events("messages.upsert"))
        content = bench.events("messages.upsert")[0]["message"]
        assert ("base64" in content, "mediaUrl" in content) == (where == "base64", where == "url")
        asked = await bench.post("chat/getBase64FromMediaMessage", message={"key": {"id": said}})
        assert asked.status_code == 201
        file = base64.b64decode(asked.json()["base64"])
        assert file.startswith(b"\x89PNG")
        assert asked.json()["size"]["fileLength"]["low"] == len(file)
        if where == "url":
            served = await bench.client.get(content["mediaUrl"], headers={"apikey": ""})
            assert (served.content, served.headers["content-type"]) == (file, "image/png")


async def test_media_that_is_gone_is_refused_in_evolutions_words() -> None:
    async with a_bench() as bench:
        ask = "chat/getBase64FromMediaMessage"
        text = (await bench.send()).json()["key"]["id"]
        video = await bench.simulator.say(bench.instance, "", kind="video")
        for id_, words in (
            ("nope", "Message not found"),
            (text, "The message is not of the media type"),
            (video, "AggregateError"),
        ):
            answer = await bench.post(ask, message={"key": {"id": id_}})
            assert (answer.status_code, answer.json()["response"]["message"]) == (400, [words])


async def test_small_doings_in_a_chat_are_answered() -> None:
    async with a_bench() as bench:
        numbers = (await bench.post("chat/whatsappNumbers", numbers=[TO, "5511988880404"])).json()
        assert [row["exists"] for row in numbers] == [True, False]
        read = await bench.post("chat/markMessageAsRead", readMessages=[KEY])
        assert (read.status_code, read.json()["read"]) == (201, "success")
        typing = await bench.post("chat/sendPresence", number=TO, presence="composing", delay=1)
        assert (typing.status_code, typing.json()) == (201, {"presence": "composing"})
        people = (await bench.post("chat/findContacts")).json()
        assert len(people) == len(bench.station.instance.people)
        key = (await bench.send("errado")).json()["key"]
        edited = await bench.post("chat/updateMessage", number=TO, key=key, text="certo")
        assert edited.status_code == 200
        await until(lambda: bench.events("send.message.update"))
        path = f"/chat/deleteMessageForEveryone/{bench.instance}"
        deleted = await bench.client.request("DELETE", path, json=key)
        assert deleted.status_code == 201
        await until(lambda: bench.events("messages.delete"))
        foreign = await bench.post("chat/updateMessage", number=TO, key=KEY, text="x")
        assert foreign.json()["response"]["message"] == ["Message not compatible"]


async def test_1_8_2_has_some_calls_under_other_methods() -> None:
    async with a_bench(V1) as bench:
        path = f"/chat/markMessageAsRead/{bench.instance}"
        body = {"read_messages": [KEY]}
        assert (await bench.client.put(path, json=body)).status_code == 201
        refused = await bench.client.post(path, json=body)
        assert refused.json()["response"]["message"] == [f"Cannot POST {path}"]


async def test_the_version_is_told_without_a_key() -> None:
    for dialect in (V1, V2, NEXT):
        async with a_bench(dialect) as bench:
            root = (await bench.client.get("/", headers={"apikey": ""})).json()
            assert root["version"] == dialect.split()[0]


_PATHS_OF_NO_SEND = ("inject.", "instance-", "meta-verify", "root", "not-found", "fetchInstances")
_TOLD_TO = ("upstream", "hang", "timed-out", "closed", "not-on-", "connecting", "not-connected")
_OTHER = ("webhook-find", "connectionState.baileys", "sendButtons", "sendList", "sendTemplate")
_UNLIKE = {
    # The stub had no connection while the file was uploaded.
    "baileys.sendMedia.image-base64",
    # A picture's URL alone is told of; the simulator tells the whole.
    "evolution-channel.sendMedia.ok",
}


def _captures() -> list[Path]:
    skipped = (*_PATHS_OF_NO_SEND, *_OTHER)
    return [
        path
        for path in sorted(CAPTURES.glob("*.json"))
        if not any(word in path.stem for word in (*skipped, *_TOLD_TO))
        and path.stem not in _UNLIKE
        and "delete" not in path.stem
    ]


def _dialect_of(name: str) -> str:
    version = "1.8.2" if name.startswith("v1.") else "2.3.6"
    channel = "evolution" if "evolution-channel" in name else "business"
    return f"{version} {'baileys' if 'baileys' in name else channel}"


@pytest.mark.parametrize("path", _captures(), ids=lambda path: path.stem)
async def test_it_answers_as_a_running_evolution_did(path: Path) -> None:
    """The same request: the same status, and an answer that has every field of the captured one."""
    capture = json.loads(path.read_text("utf-8"))
    async with a_bench(_dialect_of(path.stem)) as bench:
        request = capture["request"]
        if "findMessages" in path.stem:
            await bench.send()
        parts = request["path"].partition("?")[0].split("/")
        if len(parts) == 4 and parts[3] != "nope":
            parts[3] = bench.instance
        headers = {"content-type": request["headers"].get("content-type", "application/json")}
        if "wrong-apikey" in path.stem or "other-instance" in path.stem:
            headers["apikey"] = "wrong"
        elif "no-apikey" in path.stem:
            headers["apikey"] = ""
        body = request["body"]
        content = body if isinstance(body, str) else json.dumps(body)
        answer = await bench.client.request(
            request["method"],
            "/".join(parts),
            content=b"" if body is None else content.encode(),
            headers=headers,
        )
    assert answer.status_code == capture["status"]
    if answer.status_code >= 400:
        wanted = json.dumps(capture["body"]).replace(request["path"], "/".join(parts))
        assert answer.json() == json.loads(wanted)
    else:
        assert _fields(capture["body"]) - _fields(answer.json()) - _NOT_SIMULATED == set()


_NOT_SIMULATED = {
    ("message", "messageContextInfo"),
    ("message", "contactMessage", "contextInfo"),
    ("message", "locationMessage", "contextInfo"),
}


def _fields(value: Any, path: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    """Paths of the fields of objects, not deeper than three."""
    if isinstance(value, list):
        return _fields(value[0], path) if value else set()
    if not isinstance(value, dict) or len(path) > 2 or path == ("message", "messageContextInfo"):
        return set()
    inner = (_fields(part, (*path, name)) for name, part in value.items())
    return {(*path, name) for name in value}.union(*inner)


@pytest.mark.parametrize(
    "path",
    [
        path
        for path in sorted(CAPTURES.glob("*sendText.*.json"))
        if any(word in path.stem for word in _TOLD_TO)
        and not any(word in path.stem for word in ("hang", "slow", "v1.sendText.upstream.graph-5"))
        and "v1.sendText.upstream.graph-connection" not in path.stem
    ],
    ids=lambda path: path.stem,
)
async def test_every_captured_failure_of_a_send_can_be_asked_for(path: Path) -> None:
    capture = json.loads(path.read_text("utf-8"))
    dialect = _dialect_of(path.stem)
    kinds = (
        *("connection-closed", "not-connected", "timed-out", "not-on-whatsapp"),
        *("upstream-broken", "meta-24h-window", "meta-rate-limit", "meta-token-expired"),
        "meta-500",
    )
    number = capture["request"]["body"]["number"]
    body = {"textMessage": {"text": "x"}} if dialect.startswith("1.") else {"text": "x"}
    async with a_bench(dialect) as bench:
        answers = []
        for kind in kinds:
            bench.simulator.misbehave(kind)
            answer = await bench.post("message/sendText", number=number, **body)
            answers.append((answer.status_code, _without_trace(answer.json())))
        assert bench.texts() == []
    assert (capture["status"], _without_trace(capture["body"])) in answers


def _without_trace(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name != "fbtrace_id"}


async def test_a_file_may_be_half_or_not_come() -> None:
    async with a_bench(files_in="url") as bench:
        said = await bench.simulator.say(bench.instance, "", kind="image")
        await until(lambda: bench.events("messages.upsert"))
        url = bench.events("messages.upsert")[0]["message"]["mediaUrl"]
        whole = (await bench.client.get(url)).content
        bench.simulator.misbehave("wrong-size", call="simulator/media")
        assert (await bench.client.get(url)).content == whole[: len(whole) // 2]
        bench.simulator.misbehave("html-503", call="simulator/media")
        assert (await bench.client.get(url)).status_code == 503
        bench.simulator.misbehave("wrong-size", call="chat/getBase64")
        asked = await bench.post("chat/getBase64FromMediaMessage", message={"key": {"id": said}})
        assert base64.b64decode(asked.json()["base64"]) == whole[: len(whole) // 2]
        assert asked.json()["size"]["fileLength"]["low"] == len(whole)
        gone = await bench.client.get(f"{url}x")
        assert gone.status_code == 404


async def test_recipients_are_known_by_every_name_of_theirs_or_refused() -> None:
    async with a_bench() as bench:
        instance = bench.station.instance
        person = instance.people[0]
        respelt = person.respelt_jid.partition("@")[0]
        for number in (person.phone, respelt, person.jid, person.lid, instance.group.jid):
            answer = await bench.post("message/sendText", number=number, text="Oi")
            assert answer.status_code == 201
        recipients = [sent.recipient for sent in bench.simulator.sent()]
        assert recipients == [person.phone] * 4 + [instance.group.jid]
        nobody = (await bench.post("message/sendText", number="5511988880404", text="Oi")).json()
        assert nobody["response"]["message"][0]["exists"] is False
        group = await bench.post("message/sendText", number="120363000000000009@g.us", text="Oi")
        assert group.json()["response"]["message"] == ["[object Object]"]
    async with a_bench("2.2.3 baileys") as bench:
        lid = bench.station.instance.people[0].lid
        assert (await bench.post("message/sendText", number=lid, text="Oi")).status_code == 400
