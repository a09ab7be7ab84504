"""A client in rooms, over a real store: what it is told, and what it gets when it comes back.

Every interleaving of it is in ``test_rooms.py``.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trio
import trio.testing

from evorelay.model.close import Close
from evorelay.model.errors import Code, Refusal, StoreUnavailable
from evorelay.model.principal import Principal
from evorelay.relay import missed
from evorelay.relay import room_session as rooms
from evorelay.relay.draft import Draft
from evorelay.relay.room_session import Opened, RoomSession
from evorelay.relay.session import Position
from evorelay.relay.socket_memory import SocketMemory
from evorelay.storage.open import Storage
from tests.engine.harness import (
    ADMIN,
    HOUR,
    BoundedWire,
    World,
    connection,
    message,
    open_blobs,
    stored,
)
from tests.engine.rooms import IdDialect

INBOX = "inbox:loja"
ANA = Principal(sub="ana", role="agent", instances=frozenset({"loja"}))
RUI = Principal(sub="rui", role="agent", instances=frozenset({"loja"}))
AWAY = Principal(sub="ana", role="agent", instances=frozenset({"filial"}))


class Client:
    def __init__(self, world: World, pid: str = "p1", who: Principal = ANA) -> None:
        self.world = world
        self.wire = BoundedWire()
        self.session = RoomSession(
            "s",
            who,
            IdDialect(),
            self.wire,
            world.engine,
            SocketMemory(world.ledger, world.reads),
            pid=pid,
        )
        self.wire.session = self.session

    async def open(self, since: int | None = None, epoch: str | None = None) -> Opened:
        position = None if since is None else Position(since, epoch or self.world.engine.epoch)
        opened = await self.session.open(position)
        self.session.opened(opened)
        return opened

    @property
    def told(self) -> list[int]:
        return [int(id_) for frame in self.wire.frames for id_ in frame.split()]


def ids(opened: Opened) -> list[int]:
    return [event.id for event in opened.missed]


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Storage]:
    with stored(tmp_path) as storage:
        yield storage


@pytest.fixture
async def world(storage: Storage, tmp_path: Path) -> World:
    return World(storage, await open_blobs(tmp_path))


async def restarted(world: World, tmp_path: Path, *, cache_bytes: int = 0) -> World:
    """Another process over the same store: nothing in memory is left."""
    again = World(world.storage, await open_blobs(tmp_path), cache_bytes=cache_bytes)
    again.ledger_seq = world.ledger_seq
    return again


async def test_an_inbox_and_its_ticket_tell_each_event_once(world: World) -> None:
    await world.apply(message("W1"))
    (ticket,) = world.tickets()
    client = Client(world)
    await client.open()
    await client.session.join(INBOX)
    await client.session.join(f"ticket:{ticket.id}")
    before = world.hub.position
    await world.apply(message("W2"))
    assert client.told == [before + 1]


async def test_what_was_told_while_a_client_was_away_comes_after_a_restart(
    world: World, tmp_path: Path
) -> None:
    """P3: from the store alone, and only what came after it joined."""
    await world.apply(message("W1"))
    first = Client(world)
    opened = await first.open()
    assert not opened.recovered
    await first.session.join(INBOX)
    await world.apply(message("W2"))
    since = first.told[-1]
    first.session.leave()
    await world.apply(message("W3"), message("W4"))
    again = await restarted(world, tmp_path)
    back = Client(again)
    opened = await back.open(since)
    assert (opened.recovered, ids(opened)) == (True, [since + 1, since + 2])
    await again.apply(message("W5"))
    assert back.told == [since + 3]


async def test_a_client_that_never_heard_a_thing_is_recovered_from_where_it_began(
    world: World, tmp_path: Path
) -> None:
    """P3: nor does what came before it joined count as missed."""
    await world.apply(message("W1"))
    first = Client(world)
    begin = (await first.open()).position.offset
    await world.apply(message("W2"))
    await first.session.join(INBOX)
    first.session.leave()
    await world.apply(message("W3"))
    opened = await Client(await restarted(world, tmp_path)).open(begin)
    assert (opened.recovered, ids(opened)) == (True, [begin + 2])


@pytest.mark.parametrize("who", [RUI, AWAY], ids=["another agent", "not allowed any more"])
async def test_nobody_gets_what_is_not_theirs_by_a_pid(world: World, who: Principal) -> None:
    """P7."""
    await world.apply(message("W1"))
    first = Client(world)
    await first.open()
    await first.session.join(INBOX)
    first.session.leave()
    since = world.hub.position
    await world.apply(message("W2"))
    back = Client(world, who=who)
    opened = await back.open(since)
    assert (opened.recovered, opened.missed, back.session.rooms) == (False, [], {})
    await world.apply(message("W3"))
    assert back.told == []
    assert INBOX not in world.hub.watched()


async def test_who_was_away_for_too_much_is_told_so(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P3: recovered or not, never a part of it."""
    monkeypatch.setattr(missed, "RECOVER_EVENTS_MAX", 3)
    await world.apply(message("W0"))
    first = Client(world)
    await first.open()
    await first.session.join(INBOX)
    since = world.hub.position
    first.session.leave()
    await world.apply(*(message(f"W{n}") for n in range(1, 4)))
    assert len((await Client(world).open(since)).missed) == 3
    await world.apply(message("W5"))
    opened = await Client(world).open(since)
    assert (opened.recovered, opened.missed) == (False, [])


async def test_a_room_joined_late_is_recovered_from_there(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P3: what was told there before does not count, however much it is."""
    monkeypatch.setattr(missed, "RECOVER_EVENTS_MAX", 3)
    first = Client(world)
    since = (await first.open()).position.offset
    await world.apply(*(message(f"W{n}") for n in range(20)))
    await first.session.join(INBOX)
    first.session.leave()
    await world.apply(message("X1"), message("X2"))
    opened = await Client(world).open(since)
    assert (opened.recovered, len(opened.missed)) == (True, 2)


async def test_what_retention_took_is_not_silently_missing(world: World) -> None:
    """P3."""
    await world.apply(message("W0"))
    first = Client(world)
    await first.open()
    await first.session.join(INBOX)
    since = world.hub.position
    first.session.leave()
    await world.apply(message("W1"))
    world.storage.maintenance.trim_events(world.now() + HOUR, 100)
    await world.apply(message("W2"))
    assert not (await Client(world).open(since)).recovered


@pytest.mark.parametrize(("ahead", "epoch"), [(0, "another"), (1, None)])
async def test_a_place_in_another_log_is_no_place(
    world: World, ahead: int, epoch: str | None
) -> None:
    """P9: a restored store, or one that lost its end."""
    await world.apply(message("W0"))
    first = Client(world)
    await first.open()
    await first.session.join(INBOX)
    opened = await Client(world).open(world.hub.position + ahead, epoch)
    assert not opened.recovered


async def test_the_command_of_a_session_is_not_told_to_it(world: World, tmp_path: Path) -> None:
    """Live and when it comes back; everybody else is told."""
    await world.apply(message("W1"))
    row = world.messages()[0]
    sender, other = Client(world, "p1"), Client(world, "p2")
    for client in (sender, other):
        await client.open()
        await client.session.join(INBOX)
    since = world.hub.position

    def work(draft: Draft) -> None:
        draft.tell_message("message.created", row, origin="p1")

    await world.ledger.change(work)
    assert (sender.told, other.told) == ([], [since + 1])
    again = await restarted(world, tmp_path)
    assert ids(await Client(again, "p1").open(since)) == []
    assert ids(await Client(again, "p2").open(since)) == [since + 1]


@pytest.mark.parametrize("cache_bytes", [0, 1 << 20], ids=["from store", "from cache"])
async def test_joining_from_an_offset_tells_what_came_since(
    storage: Storage, tmp_path: Path, cache_bytes: int
) -> None:
    """P3; and in a room that it is in already no second time."""
    world = World(storage, await open_blobs(tmp_path), cache_bytes=cache_bytes)
    await world.apply(*(message(f"W{n}") for n in range(4)))
    client = Client(world)
    await client.open()
    joined = await client.session.join(INBOX, Position(2, ""))
    assert joined.recovered
    assert [event.offset for event in joined.missed] == [3, 4, 5]
    assert joined.position == Position(5, world.engine.epoch)
    await world.apply(message("W9"))
    joined = await client.session.join(INBOX, Position(5, world.engine.epoch))
    assert (joined.recovered, [event.offset for event in joined.missed]) == (True, [6])
    assert len(client.told) == 1


@pytest.mark.parametrize(
    "since", [Position(9, ""), Position(1, "another")], ids=["ahead of us", "another log"]
)
async def test_an_offset_that_means_nothing_here_is_said_to_be_none(
    world: World, since: Position
) -> None:
    await world.apply(message("W1"))
    client = Client(world)
    await client.open()
    joined = await client.session.join(INBOX, since)
    assert (joined.recovered, joined.missed) == (False, [])


async def test_a_room_that_was_left_stays_left(world: World) -> None:
    await world.apply(message("W1"))
    client = Client(world)
    await client.open()
    await client.session.join(INBOX)
    assert await client.session.leave_room(INBOX)
    assert not await client.session.leave_room(INBOX)
    since = world.hub.position
    await world.apply(message("W2"))
    assert client.told == []
    client.session.leave()
    opened = await Client(world).open(since)
    assert (opened.recovered, opened.missed) == (True, [])


async def test_foreign_rooms_are_refused_and_leave_nothing_behind(world: World) -> None:
    """P7: a foreign ticket and an unknown one are alike."""
    await world.apply(message("W1"))
    (ticket,) = world.tickets()
    client = Client(world, who=AWAY)
    await client.open()
    for channel, code in (
        (INBOX, Code.FORBIDDEN),
        (f"ticket:{ticket.id}", Code.NOT_FOUND),
        ("ticket:nobody", Code.NOT_FOUND),
        ("instance:*", Code.FORBIDDEN),
        ("nonsense", Code.FORBIDDEN),
    ):
        with pytest.raises(Refusal) as refused:
            await client.session.join(channel)
        assert refused.value.code is code
    assert set(world.hub.watched()) == {"instance:filial"}
    client.session.leave()
    assert world.hub.watched() == {}


async def test_rooms_of_one_client_are_bounded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P5."""
    monkeypatch.setattr(rooms, "CHANNELS_MAX", 1)
    client = Client(world, who=ADMIN)
    await client.open()
    await client.session.join(INBOX)
    await client.session.join(INBOX)
    with pytest.raises(Refusal) as refused:
        await client.session.join("inbox:filial")
    assert refused.value.code is Code.LIMIT_EXCEEDED


async def test_how_instances_are_is_told_to_who_may_see_them(world: World) -> None:
    """Without joining anything: one's own instances, or all of them."""
    clients = [Client(world, f"p{n}", who) for n, who in enumerate((ANA, AWAY, ADMIN))]
    for client in clients:
        await client.open()
    await world.apply(connection("open"))
    assert [len(client.told) for client in clients] == [1, 0, 1]


async def test_a_fresh_credential_that_allows_less_ends_what_it_does_not(world: World) -> None:
    """P7."""
    await world.apply(message("W1"))
    client = Client(world)
    await client.open()
    await client.session.join(INBOX)
    assert await client.session.renew(AWAY) == [INBOX]
    await world.apply(message("W2"), connection("open"))
    assert (client.told, client.session.rooms) == ([], {})
    assert set(world.hub.watched()) == {"instance:filial"}
    await client.session.renew(ADMIN)
    world.now.ms += 5_000
    await world.apply(connection("close", reason=401))
    assert len(client.told) == 1


async def test_a_client_that_does_not_read_gets_the_rest_when_it_does(world: World) -> None:
    """P3, P5: nobody waits for it, and nothing is left out."""
    await world.apply(message("W1"))
    client = Client(world)
    async with trio.open_nursery() as nursery:
        await nursery.start(world.catchup.run, world.hub)
        await client.open()
        await client.session.join(INBOX)
        before = world.hub.position
        client.wire.room = 1
        for number in range(300):
            await world.apply(message(f"X{number}"))
        assert client.told == [before + 1]
        with trio.fail_after(30):
            while len(client.told) < 300:
                client.wire.drain()
                await trio.sleep(0.001)
        assert client.told == list(range(before + 1, before + 301))
        nursery.cancel_scope.cancel()


async def test_a_slow_client_that_retention_passed_by_must_load_anew(world: World) -> None:
    """P3: told plainly."""
    await world.apply(message("W1"))
    client = Client(world)
    world.cache.evict(world.now() + 2 * HOUR)
    async with trio.open_nursery() as nursery:
        await nursery.start(world.catchup.run, world.hub)
        await client.open()
        await client.session.join(INBOX)
        client.wire.room = 1
        for number in range(3):
            await world.apply(message(f"X{number}"))
        world.cache.evict(world.now() + 2 * HOUR)
        world.storage.maintenance.trim_events(world.now() + HOUR, 100)
        client.wire.drain()
        with trio.fail_after(30):
            while not client.session.is_closed:
                await trio.sleep(0.002)
        assert client.session.close_reason is Close.INSUFFICIENT_STATE
        nursery.cancel_scope.cancel()


async def test_transient_events_reach_the_room_but_not_their_sender(world: World) -> None:
    class Loud(IdDialect):
        def encode_transient(self, channel: str, data: bytes) -> bytes:
            return b"0 "

    sender, other = Client(world, "p1", ADMIN), Client(world, "p2", ADMIN)
    for client in (sender, other):
        client.session._dialect = Loud()
        await client.open()
        await client.session.join(INBOX)
    world.hub.publish_transient(INBOX, b"{}", but=sender.session)
    assert (sender.told, other.told) == ([], [0])
    assert [feed.receiver for feed in world.hub.feeds(INBOX)].count(other.session) == 1


async def test_a_room_that_could_not_be_left_is_not_left(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P3: what the client is told and what the store says stay the same, and trying again helps."""
    await world.apply(message("W1"))
    client = Client(world)
    await client.open()
    await client.session.join(INBOX)
    with monkeypatch.context() as patch:
        patch.setattr(world.ledger, "change", unavailable)
        with pytest.raises(StoreUnavailable):
            await client.session.leave_room(INBOX)
    await world.apply(message("W2"))
    assert len(client.told) == 1
    assert await client.session.leave_room(INBOX)
    since = world.hub.position
    client.session.leave()
    await world.apply(message("W3"))
    assert (await Client(world).open(since)).missed == []


async def test_a_credential_that_could_not_be_renewed_changes_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P7: what it takes away is taken away in the store, too, or not at all."""
    await world.apply(message("W1"))
    client = Client(world)
    await client.open()
    await client.session.join(INBOX)
    watched = set(world.hub.watched())
    with monkeypatch.context() as patch:
        patch.setattr(world.ledger, "change", unavailable)
        with pytest.raises(StoreUnavailable):
            await client.session.renew(AWAY)
    assert (client.session.principal, set(world.hub.watched())) == (ANA, watched)
    await world.apply(message("W2"))
    assert len(client.told) == 1
    assert await client.session.renew(AWAY) == [INBOX]


async def test_joining_from_an_offset_leaves_out_what_the_session_did_itself(world: World) -> None:
    await world.apply(message("W1"))
    row = world.messages()[0]
    client = Client(world, "p1")
    await client.open()

    def work(draft: Draft) -> None:
        for origin in ("p1", "p2"):
            draft.tell_message("message.created", row, origin=origin)

    await world.ledger.change(work)
    joined = await client.session.join(INBOX, Position(0, ""))
    assert joined.recovered
    assert [event.origin for event in joined.missed] == [None, None, "p2"]


async def unavailable(work: Callable[[Draft], object]) -> object:
    raise StoreUnavailable("disk")
