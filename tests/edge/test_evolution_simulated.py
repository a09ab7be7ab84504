"""The Evolution client and the simulated Evolution understand each other, in every version.

Neither may be bent to the other: the client is held against captured answers in
``tests/unit``, the simulator in ``tests/engine/test_simulator_rest.py``.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from evorelay.config import EvolutionConfig, MediaConfig
from evorelay.edge.evolution.client import EvolutionClient, open_gateway
from evorelay.model.outcome import FaultKind, GatewayFault, MessageWindow, Registration
from evorelay.model.outgoing import (
    ContactCard,
    Delivery,
    Location,
    Outgoing,
    OutgoingMedia,
    OutgoingType,
    Target,
)
from evorelay.relay.blobs import BlobStore
from evorelay.simulator.media import photo, voice_note
from tests.engine.simulating import META, NEXT, TO, V1, V2, Bench, a_bench, until

NAME = "loja-centro"


class Pair:
    def __init__(self, bench: Bench, client: EvolutionClient, blobs: BlobStore) -> None:
        self.bench = bench
        self.client = client
        self.blobs = blobs

    @property
    def simulator(self) -> Any:
        return self.bench.simulator

    async def send(self, type_: OutgoingType = "text", content: str = "Oi", **more: Any) -> str:
        fields = {name: more.pop(name) for name in ("target", "own_id") if name in more}
        outgoing = Outgoing(type=type_, content=content, **more)
        delivery = Delivery(number=TO, outgoing=outgoing, **fields)
        return (await self.client.send(self.bench.instance, delivery)).whatsapp_id


@asynccontextmanager
async def a_pair(
    tmp_path: Path, dialect: str = V2, *, timeout: float = 30.0, **changed: Any
) -> AsyncIterator[Pair]:
    blobs = await BlobStore.open(tmp_path / "blobs")
    async with a_bench(dialect, **changed) as bench:
        simulator = bench.simulator
        config = EvolutionConfig(url=simulator.url, api_key=simulator.api_key, timeout=timeout)
        async with open_gateway(config, MediaConfig(), blobs) as client:
            yield Pair(bench, client, blobs)


@pytest.mark.parametrize("dialect", [V2, V1, META, NEXT, "2.2.3 baileys"])
async def test_everything_an_agent_sends_arrives(dialect: str, tmp_path: Path) -> None:
    async with a_pair(tmp_path, dialect) as pair:
        image = OutgoingMedia(
            blob=await pair.blobs.put(photo(0).content),
            mimetype="image/png",
            size=len(photo(0).content),
            filename="foto.png",
        )
        voice = OutgoingMedia(
            blob=await pair.blobs.put(voice_note(2).content),
            mimetype="audio/ogg; codecs=opus",
            size=len(voice_note(2).content),
            is_voice=True,
        )
        asked = await pair.simulator.say(pair.bench.instance, "Tem em azul?")
        person = pair.bench.station.instance.people[0]
        about = Target(
            whatsapp_id=asked, jid=person.jid, from_me=False, participant=None, content="Tem?"
        )
        ids = [
            await pair.send(content="Oi 😀"),
            await pair.send(content="Tem", target=about),
            await pair.send("image", "olha", media=image),
            await pair.send("audio", "", media=voice),
            await pair.send("location", "", location=Location(latitude=-23.5, longitude=-46.6)),
            await pair.send("contact", "", contacts=[ContactCard(name="Ana", phone=TO)]),
            await pair.send("reaction", "👍", target=about),
        ]
        sent = pair.simulator.sent()
        assert [one.id for one in sent] == ids
        kinds = ["text", "text", "image", "voice", "location", "contact", "reaction"]
        assert [one.type for one in sent] == kinds
        assert sent[0].text == "Oi 😀"
        assert sent[1].quotes == sent[6].quotes == asked
        assert sent[2].text == "olha"
        assert sent[2].media.content == photo(0).content
        assert sent[3].media.content == voice_note(2).content


@pytest.mark.parametrize("dialect", [V2, V1, META, NEXT])
async def test_a_large_file_with_a_quote_arrives_with_both(dialect: str, tmp_path: Path) -> None:
    """2.3.1 and newer take no large base64, and the form has no room for the quoted words."""
    async with a_pair(tmp_path, dialect) as pair:
        content = b"%PDF-1.7 " + bytes(3 * 1024 * 1024)
        media = OutgoingMedia(
            blob=await pair.blobs.put(content),
            mimetype="application/pdf",
            size=len(content),
            filename="nota.pdf",
        )
        asked = await pair.simulator.say(pair.bench.instance, "E a nota?")
        person = pair.bench.station.instance.people[0]
        about = Target(
            whatsapp_id=asked, jid=person.jid, from_me=False, participant=None, content="E a nota?"
        )
        await pair.send("document", "aqui", media=media, target=about)
        (sent,) = pair.simulator.sent()
        assert sent.media.content == content
        assert (sent.text, sent.quotes) == ("aqui", asked)


@pytest.mark.parametrize("dialect", [V2, V1, META])
async def test_what_was_sent_and_received_is_found_with_its_statuses(
    dialect: str, tmp_path: Path
) -> None:
    async with a_pair(tmp_path, dialect) as pair:
        heard = await pair.simulator.say(pair.bench.instance, "Oi?")
        sent = await pair.send()
        window = MessageWindow(since_ms=1_500_000_000_000, until_ms=4_000_000_000_000)
        page = await pair.client.find_messages(pair.bench.instance, window, page=1, page_size=50)
        found = {str(row["key"]["id"]) for row in page.records}  # type: ignore[index]  # rows are WhatsApp's
        assert found == {heard, sent}
        await until(lambda: pair.bench.events("messages.update"))
        assert "sent" in await pair.client.statuses(pair.bench.instance, sent)
        one = MessageWindow(whatsapp_id=sent)
        page = await pair.client.find_messages(pair.bench.instance, one, page=1, page_size=1)
        assert len(page.records) == 1


async def test_an_own_id_is_taken_where_evolution_takes_one(tmp_path: Path) -> None:
    """P4: with 2.4 a message has its id before it is sent."""
    for dialect, is_taken in ((NEXT, True), (V2, False)):
        async with a_pair(tmp_path, dialect) as pair:
            got = await pair.send(own_id="3EB0AAAABBBBCCCCDDDDEE")
            assert (got == "3EB0AAAABBBBCCCCDDDDEE") is is_taken


@pytest.mark.parametrize(
    ("kind", "more", "fault"),
    [
        ("hang", {}, FaultKind.UNKNOWN),
        ("hang", {"sent": True}, FaultKind.UNKNOWN),
        ("reset", {"sent": True}, FaultKind.UNKNOWN),
        ("reset", {"sent": False}, FaultKind.UNKNOWN),
        ("half-json", {}, FaultKind.UNKNOWN),
        ("timed-out", {}, FaultKind.UNKNOWN),
        ("html-502", {}, FaultKind.UNKNOWN),
        ("html-504", {}, FaultKind.UNKNOWN),
        ("not-connected", {}, FaultKind.INSTANCE_DOWN),
        ("not-on-whatsapp", {"count": 2}, FaultKind.PERMANENT),
        ("licence", {}, FaultKind.LICENCE),
    ],
)
async def test_what_goes_wrong_is_understood(
    kind: str, more: dict[str, Any], fault: FaultKind, tmp_path: Path
) -> None:
    """P4: what may have been sent is in doubt, what certainly was not is tried again."""
    async with a_pair(tmp_path, timeout=2 if kind == "hang" else 30) as pair:
        await pair.client.connection_state(pair.bench.instance)  # it knows the version from here
        pair.simulator.misbehave(kind, **more)
        with pytest.raises(GatewayFault) as caught:
            await pair.send()
        assert caught.value.kind is fault, caught.value.code


@pytest.mark.parametrize("kind", ["cut", "drip"])
async def test_the_id_in_the_part_of_an_answer_that_came_is_believed(
    kind: str, tmp_path: Path
) -> None:
    """P4: no doubt where Evolution got as far as telling the id."""
    async with a_pair(tmp_path, timeout=3) as pair:
        pair.simulator.misbehave(kind)
        got = await pair.send(content="palavras " * 40)
        assert [sent.id for sent in pair.simulator.sent()] == [got]


async def test_ten_megabytes_are_not_read(tmp_path: Path) -> None:
    async with a_pair(tmp_path) as pair:
        pair.simulator.misbehave("huge")
        with pytest.raises(GatewayFault) as caught:
            await pair.send()
        assert caught.value.kind is FaultKind.UNKNOWN


async def test_connections_are_seen_and_made(tmp_path: Path) -> None:
    async with a_pair(tmp_path) as pair:
        name = pair.bench.instance
        assert await pair.client.connection_state(name) == "open"
        pair.simulator.set_condition(name, "not loaded")
        assert await pair.client.connection_state(name) is None
        pair.simulator.set_condition(name, "well")
        await pair.simulator.log_out(name)
        assert await pair.client.connection_state(name) == "close"
        pairing = await pair.client.connect(name)
        assert pairing.code is not None
        assert pairing.code.startswith("2@")
        await pair.simulator.scan(name)
        assert (await pair.client.connect(name)).state == "open"
        pair.simulator.set_condition(name, "stale")
        with pytest.raises(GatewayFault):
            await pair.client.probe(name)
        await pair.client.restart(name)
        await pair.client.probe(name)


@pytest.mark.parametrize("dialect", [V2, V1])
async def test_a_webhook_that_was_registered_is_found(dialect: str, tmp_path: Path) -> None:
    async with a_pair(tmp_path, dialect) as pair:
        wanted = Registration(
            is_enabled=True,
            url="http://relay.example.test/hook/a-secret",
            by_events=False,
            base64=True,
            events=("MESSAGES_UPSERT", "SEND_MESSAGE"),
        )
        await pair.client.register(pair.bench.instance, wanted)
        found = await pair.client.registration(pair.bench.instance)
        assert found is not None
        assert (found.url, found.events, found.base64) == (wanted.url, wanted.events, True)


@pytest.mark.parametrize("dialect", [V2, V1])
async def test_a_file_that_is_not_in_the_webhook_is_fetched(dialect: str, tmp_path: Path) -> None:
    async with a_pair(tmp_path, dialect, files_in="nowhere") as pair:
        said = await pair.simulator.say(pair.bench.instance, "", kind="voice")
        fetched = await pair.client.media(pair.bench.instance, said)
        content = await pair.blobs.read(fetched.blob, 1_000_000)
        assert content is not None
        assert content.startswith(b"OggS")
        assert fetched.size == len(content)
        with pytest.raises(GatewayFault):
            await pair.client.media(pair.bench.instance, "nope")
