"""Files that did not come with their messages are fetched, durably and fairly."""

import json
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from evorelay.edge.downloads import Downloads
from evorelay.model.change import Revoke
from evorelay.model.envelope import Entry
from evorelay.model.fact import ChangeFact, Fact, MediaFact
from evorelay.model.outcome import FaultKind, FetchedMedia, GatewayFault
from evorelay.model.records import FetchRecord, MessageRecord
from evorelay.relay import fetching as fetching_module
from evorelay.relay.apply import Applied, Understood, apply_batch
from evorelay.relay.draft import Draft
from evorelay.relay.fetches import Fetches
from evorelay.relay.fetching import LANE_MAX, PER_HOST, PER_INSTANCE, WAITS_MS, Fetching, Lane
from evorelay.telemetry.metrics import NopMetrics
from tests.engine.evolution import PlayedEvolution
from tests.engine.harness import HOUR, T0, World, envelope, message, open_blobs, stored
from tests.support.files import ogg_opus, png
from tests.support.files_server import answer, files_server

PICTURE = png(64, 48)
GONE = GatewayFault(FaultKind.PERMANENT, "not_found", "Evolution does not have the message.")
DOWN = GatewayFault(FaultKind.GATEWAY_DOWN, "down", "Evolution cannot be reached.")


class Files(PlayedEvolution):
    """An Evolution that has the files of messages; ``bytes_of`` may raise or hang."""

    def __init__(self, world: World) -> None:
        super().__init__(world.now)
        self.blobs = world.blobs
        self.asked: list[str] = []
        self.busy: Counter[str] = Counter()
        self.busiest: Counter[str] = Counter()
        self.faults: list[Exception] = []
        self.data = PICTURE
        self.hanging: set[str] = set()
        self.hosts: dict[str, str] = {}

    def host(self, instance: str) -> str | None:
        return self.hosts.get(instance, instance)

    async def media(self, instance: str, whatsapp_id: str) -> FetchedMedia:
        self.asked.append(whatsapp_id)
        for name in (instance, f"host {self.host(instance)}"):
            self.busy[name] += 1
            self.busiest[name] = max(self.busiest[name], self.busy[name])
        try:
            await trio.lowlevel.checkpoint()
            if instance in self.hanging:
                await trio.sleep_forever()
            if self.faults:
                raise self.faults.pop(0)
            return FetchedMedia(
                blob=await self.blobs.put(self.data),
                size=len(self.data),
                mimetype="image/jpeg",
                filename="3AA898DF.jpeg",
            )
        finally:
            for name in (instance, f"host {self.host(instance)}"):
                self.busy[name] -= 1


class Counted(NopMetrics):
    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()

    def media_fetched(self, outcome: str) -> None:
        self.outcomes[outcome] += 1


class Fetched:
    """A world whose pipeline wishes for files, and the service that fetches them."""

    def __init__(self, world: World, *, per_minute: int = 6000) -> None:
        self.world = world
        self.evolution = Files(world)
        self.metrics = Counted()
        self.fetches = Fetches(self.evolution.is_configured)
        self.per_minute = per_minute
        self._seq = 0

    def service(self) -> Fetching:
        world = self.world
        tls = ssl.create_default_context()
        return Fetching(
            self.fetches,
            world.ledger,
            world.reads,
            world.blobs,
            self.evolution,
            Downloads(world.blobs, bytes_max=10**6, may_reach=lambda *_: True, tls=tls),
            self.metrics,
            per_minute=self.per_minute,
            now=world.now,
        )

    async def arrive(self, *facts: Fact) -> Applied:
        """Have facts stored as the pipeline does."""
        batch = []
        for fact in facts:
            self._seq += 1
            batch.append(Understood(Entry(self._seq, envelope(at=self.world.now())), [fact]))

        def work(draft: Draft) -> Applied:
            return apply_batch(
                draft, batch=batch, journal="t", reopen_within_ms=HOUR, fetches=self.fetches
            )

        applied = await self.world.ledger.change(work)
        if applied.has_fetches:
            self.fetches.ring()
        return applied

    async def messages(self) -> dict[str, MessageRecord]:
        (ticket, *_) = self.world.tickets()
        rows = await self.world.reads(
            lambda reader: reader.messages(ticket.id, before=None, after=None, limit=200)
        )
        return {row.whatsapp_id or "": row for row in rows or []}

    async def media(self, whatsapp_id: str = "P") -> dict[str, Any]:
        found = (await self.messages())[whatsapp_id].media
        assert found is not None
        return found

    async def rows(self) -> list[FetchRecord]:
        return await self.world.reads(lambda reader: reader.fetches_due(1 << 53, 1000))

    def told(self) -> list[tuple[str, str | None]]:
        """(event, state of the file) in the inbox, as clients read it."""
        found = []
        for event in self.world.storage.readers[0].events_after("inbox:loja", 0, 500).events:
            said = json.loads(event.data)
            if "message" in said:
                found.append((said["type"], (said["message"]["media"] or {}).get("state")))
        return found


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    with stored(tmp_path) as storage:
        yield World(storage, await open_blobs(tmp_path))


@asynccontextmanager
async def running(fetched: Fetched) -> AsyncIterator[Fetching]:
    service = fetched.service()
    async with trio.open_nursery() as nursery:
        await nursery.start(service.run)
        yield service
        nursery.cancel_scope.cancel()


async def until(is_so: Callable[[], Any]) -> None:
    with trio.fail_after(30):
        while not is_so():
            await trio.sleep(0.002)


def picture(whatsapp_id: str = "P", **fields: Any) -> Fact:
    media = fields.pop("media", MediaFact(mimetype="image/jpeg", size=87154))
    return message(whatsapp_id, type="image", content="[Imagem]", media=media, **fields)


async def test_a_file_is_promised_with_its_message_and_follows(world: World) -> None:
    fetched = Fetched(world)
    await fetched.arrive(picture())
    async with running(fetched):
        await until(lambda: fetched.metrics.outcomes["fetched"])
    media = await fetched.media()
    assert world.blobs.path(media["id"]).read_bytes() == PICTURE
    assert media["url"] == f"/media/{media['id']}"
    assert (media["width"], media["height"], media["size"]) == (64, 48, len(PICTURE))
    assert (media["mimetype"], media["filename"]) == ("image/jpeg", "3AA898DF.jpeg")
    assert fetched.told() == [("message.created", "pending"), ("message.updated", "here")]
    assert await fetched.rows() == []


async def test_a_sound_has_its_length(world: World) -> None:
    fetched = Fetched(world)
    fetched.evolution.data = ogg_opus(9)
    await fetched.arrive(message("P", type="audio", media=MediaFact(is_voice=True, waveform=[1])))
    async with running(fetched):
        await until(lambda: fetched.metrics.outcomes["fetched"])
    media = await fetched.media()
    assert (media["seconds"], media["is_voice"], media["waveform"]) == (9, True, [1])


async def test_the_address_in_the_webhook_comes_first(world: World) -> None:
    fetched = Fetched(world)
    async with files_server() as server:
        server.answers["/a"] = answer(PICTURE, "Content-Type: image/png")
        server.answers["/expired"] = answer(b"no", status="403 Forbidden")
        for name in ("a", "expired"):
            await fetched.arrive(picture(name, media=MediaFact(remote_url=server.url(f"/{name}"))))
        async with running(fetched):
            await until(lambda: fetched.metrics.outcomes["fetched"] == 2)
        assert sorted(server.paths) == ["/a", "/expired"]
    assert fetched.evolution.asked == ["expired"]


async def test_nothing_is_wished_for_in_vain(world: World) -> None:
    """History has no files at Evolution, and without an address there is nobody to ask."""
    fetched = Fetched(world)
    fetched.evolution.unconfigured.add("filial")
    here = MediaFact(blob=await world.blobs.put(PICTURE))
    revoked = ChangeFact(instance="loja", whatsapp_id="D", change=Revoke(T0))
    applied = await fetched.arrive(
        message("T"),
        picture("H", is_history=True),
        picture("B", media=here),
        picture("F", instance="filial"),
        revoked,
        picture("D"),
        message("U", type="unsupported", media=None),
    )
    assert not applied.has_fetches
    assert await fetched.rows() == []


async def test_the_same_webhook_twice_is_one_wish(world: World) -> None:
    """P2"""
    fetched = Fetched(world)
    assert (await fetched.arrive(picture(), picture())).has_fetches
    assert not (await fetched.arrive(picture())).has_fetches
    assert len(await fetched.rows()) == 1


async def test_what_will_never_be_had_is_said_at_once(world: World) -> None:
    fetched = Fetched(world)
    fetched.evolution.faults = [GONE]
    await fetched.arrive(picture())
    async with running(fetched):
        await until(lambda: fetched.metrics.outcomes["failed"])
    assert fetched.told()[-1] == ("message.updated", "failed")
    assert await fetched.rows() == []
    assert not (await fetched.arrive(picture())).has_fetches


async def test_what_may_still_be_had_is_tried_again_ever_later(world: World) -> None:
    fetched = Fetched(world)
    fetched.evolution.faults = [DOWN] * 3
    await fetched.arrive(picture())
    async with running(fetched):
        for attempt in range(1, 4):
            await until(lambda: fetched.metrics.outcomes["retried"] == attempt)  # noqa: B023  # is called in this round
            (row,) = await fetched.rows()
            assert (row.attempts, row.due_at) == (
                attempt,
                world.now() + WAITS_MS[attempt - 1],
            )
            assert (await fetched.media())["state"] == "pending"
            world.now.ms = row.due_at
            fetched.fetches.ring()
        await until(lambda: fetched.metrics.outcomes["fetched"])
    assert len(fetched.evolution.asked) == 4


async def test_after_a_day_it_has_failed(world: World) -> None:
    fetched = Fetched(world)
    fetched.evolution.faults = [DOWN] * 99
    await fetched.arrive(picture())
    began = world.now()
    async with running(fetched):
        while not fetched.metrics.outcomes["failed"]:
            done = len(fetched.evolution.asked)
            fetched.fetches.ring()
            await until(
                lambda: len(fetched.evolution.asked) > done or fetched.metrics.outcomes["failed"]  # noqa: B023  # is called in this round
            )
            await until(
                lambda: sum(fetched.metrics.outcomes.values()) == len(fetched.evolution.asked)
            )
            for row in await fetched.rows():
                world.now.ms = row.due_at
    assert len(fetched.evolution.asked) == len(WAITS_MS) == 8
    assert 20 * HOUR < world.now() - began < 25 * HOUR
    assert (await fetched.media())["state"] == "failed"
    assert await fetched.rows() == []


async def test_a_kill_in_the_middle_costs_one_attempt(world: World) -> None:
    """Whatever it was, even a bug that a file brings out: it does not come again for ever."""
    fetched = Fetched(world)
    fetched.evolution.hanging.add("loja")
    await fetched.arrive(picture())
    async with running(fetched):
        await until(lambda: fetched.evolution.asked)
    (row,) = await fetched.rows()
    assert row.attempts == 1
    fetched.evolution.hanging.clear()
    async with running(fetched):
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert len(fetched.evolution.asked) == 1
        world.now.ms = row.due_at
        fetched.fetches.ring()
        await until(lambda: fetched.metrics.outcomes["fetched"])


async def test_a_file_that_always_meets_a_bug_holds_nobody_up_and_is_given_up(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    fetched = Fetched(world)
    await fetched.arrive(picture())
    async with running(fetched):
        for attempt in range(1, len(WAITS_MS) + 1):
            fetched.evolution.faults = [RuntimeError("a bug")]
            fetched.fetches.ring()
            await until(lambda: len(fetched.evolution.asked) == attempt)  # noqa: B023  # is called in this round
            (row,) = await fetched.rows()
            assert row.attempts == attempt
            world.now.ms = row.due_at
        await fetched.arrive(picture("Q"))
        with trio.fail_after(30):
            while await fetched.rows():
                await trio.sleep(0.002)
    assert len(fetched.evolution.asked) == len(WAITS_MS) + 1
    assert (await fetched.media("P"))["state"] == "failed"
    assert (await fetched.media("Q"))["size"] == len(PICTURE)
    assert "a bug" in caplog.text


@pytest.mark.parametrize("url", ["http://xn--/a.jpg", "https://xn--a.example/", "http://a..b/x"])
async def test_an_address_without_a_host_that_can_be_is_passed_by(world: World, url: str) -> None:
    """Anybody writes a ``mediaUrl``; Evolution itself is asked then."""
    fetched = Fetched(world)
    await fetched.arrive(picture(media=MediaFact(mimetype="image/jpeg", remote_url=url)))
    async with running(fetched):
        await until(lambda: fetched.metrics.outcomes["fetched"])
    assert fetched.evolution.asked == ["P"]


async def test_a_file_that_comes_with_another_webhook_is_not_fetched(world: World) -> None:
    fetched = Fetched(world)
    await fetched.arrive(picture())
    blob = await world.blobs.put(b"the same")
    await fetched.arrive(picture(media=MediaFact(blob=blob)))
    async with running(fetched):
        with trio.fail_after(30):
            while await fetched.rows():
                await trio.sleep(0.002)
    assert fetched.evolution.asked == []
    assert (await fetched.media())["id"] == blob


async def test_a_file_of_a_message_that_is_deleted_meanwhile_is_not_told(world: World) -> None:
    fetched = Fetched(world)
    await fetched.arrive(picture())
    await fetched.arrive(ChangeFact(instance="loja", whatsapp_id="P", change=Revoke(T0)))
    told = fetched.told()
    async with running(fetched):
        with trio.fail_after(30):
            while await fetched.rows():
                await trio.sleep(0.002)
    assert fetched.evolution.asked == []
    assert fetched.told() == told


async def test_who_does_not_answer_delays_nobody_else(world: World) -> None:
    """P5: not even by several instances of one Evolution."""
    fetched = Fetched(world)
    slow = ["a", "b", "c", "d"]
    fetched.evolution.hanging = set(slow)
    fetched.evolution.hosts = dict.fromkeys(slow, "dead")
    for name in slow:
        await fetched.arrive(*(picture(f"{name}{n}", instance=name) for n in range(30)))
    await fetched.arrive(*(picture(f"P{n}") for n in range(5)))
    async with running(fetched):
        await until(lambda: fetched.metrics.outcomes["fetched"] == 5)
    assert fetched.evolution.busiest["a"] <= PER_INSTANCE
    assert fetched.evolution.busiest["host dead"] == PER_HOST
    assert {name[0] for name in fetched.evolution.asked} <= {"P", *slow}


async def test_an_instance_with_many_leaves_room_for_others(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What does not fit into its lane waits in the store, each at its time."""
    monkeypatch.setattr(fetching_module, "PAGE", 30)
    fetched = Fetched(world, per_minute=60)
    await fetched.arrive(*(picture(f"a{n}", instance="a") for n in range(100)))
    await fetched.arrive(picture("P"))
    async with running(fetched):
        await until(lambda: "P" in fetched.evolution.asked)
    later = [row for row in await fetched.rows() if row.due_at > world.now() and not row.attempts]
    assert len(later) >= 100 - LANE_MAX - 10 - PER_INSTANCE
    assert {row.attempts for row in later} == {0}
    assert len({row.due_at for row in later}) > 10


async def test_the_budget_of_an_instance_is_kept(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """In any minute, the first one included."""
    lane = Lane(60)
    started: list[float] = []

    async def work() -> None:
        for _ in range(100):
            await lane.pace()
            started.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        for _ in range(PER_INSTANCE):
            nursery.start_soon(work)
    assert started[9] == started[0]  # a few photos in a row come at once
    for begin in started:
        assert sum(begin <= at < begin + 60 for at in started) <= 60
    assert started[-1] - started[0] < 60 * 5
