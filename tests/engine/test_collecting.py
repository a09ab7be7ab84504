"""Files go when nobody refers to them any more, and never before (P1, P2, P5)."""

import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import apsw
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from evorelay.config import WebhookConfig
from evorelay.model.envelope import Entry, Envelope
from evorelay.model.fact import MediaFact
from evorelay.model.records import UploadRecord
from evorelay.protocol.webhook import WebhookPath
from evorelay.relay import collecting
from evorelay.relay.apply import Understood, apply_batch, apply_facts
from evorelay.relay.blobs import SHELVES
from evorelay.relay.collecting import GRACE_MS, SETTLING_MS, Collected, Collector
from evorelay.relay.draft import Draft
from evorelay.relay.ingest import Ingest
from evorelay.relay.reading import Reader
from evorelay.telemetry.metrics import NopMetrics
from tests.engine.harness import HOUR, World, envelope, has_lived, message, open_blobs, stored

KEPT_MS = 3 * HOUR
"""How long the journal, files, uploads and quarantine are kept here."""


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    with stored(tmp_path) as storage:
        yield at_the_real_time(World(storage, await open_blobs(tmp_path)))


def at_the_real_time(world: World) -> World:
    """Files have the kernel's times, so here the world has them too."""
    world.now.ms = time.time_ns() // 1_000_000
    has_lived(world.storage.directory)
    return world


def collector(world: World, *, pipeline_age_s: float = 0.0) -> Collector:
    return Collector(
        world.blobs,
        world.journal,
        world.ledger,
        world.storage.maintenance,
        world.reads,
        pipeline_age_s=lambda: pipeline_age_s,
        now=lambda: time.time_ns() // 1_000_000,
    )


async def collected(world: World) -> Collected:
    return await collector(world).sweep(len(SHELVES))


def files(world: World) -> dict[str, Path]:
    root = world.blobs.path("0" * 64).parents[2]
    return {path.name: path for path in root.glob("??/??/*")}


def pass_time(world: World, ms: int) -> None:
    """Everything there is becomes older: files, journal, rows. The clock stays."""
    for path in files(world).values():
        at = path.stat().st_mtime_ns - ms * 1_000_000
        os.utime(path, ns=(at, at))
    state = world.storage.directory
    with closing(apsw.Connection(str(state / "journal.db"))) as db:
        db.execute("UPDATE batches SET committed_at = committed_at - ?", (ms,))
    with closing(apsw.Connection(str(state / "store.db"))) as db:
        db.execute("UPDATE messages SET received_at = received_at - ?", (ms,))
        db.execute("UPDATE uploads SET at = at - ?", (ms,))
        db.execute("UPDATE quarantine SET received_at = received_at - ?", (ms,))


def with_photo(whatsapp_id: str, blob: str, **data: Any) -> bytes:
    said = {"imageMessage": {"mimetype": "image/png"}, "base64": f"blob:{blob}"}
    key = {"remoteJid": "5531988887777@s.whatsapp.net", "fromMe": False, "id": whatsapp_id}
    now_s = int(time.time())
    return json.dumps({"data": {"key": key, "message": said, "messageTimestamp": now_s}}).encode()


async def test_a_file_nobody_refers_to_goes_after_an_hour(world: World) -> None:
    blob = await world.blobs.put(b"abc")
    assert await collected(world) == Collected(0, 0)
    pass_time(world, GRACE_MS + 1000)
    assert await collected(world) == Collected(1, 3)
    assert await world.blobs.size(blob) is None


async def test_the_files_of_a_lost_store_wait_for_its_backup(tmp_path: Path) -> None:
    """Where a store was begun anew, or restored, nobody can tell yet which files will be needed."""
    with stored(tmp_path) as storage:
        world = World(storage, await open_blobs(tmp_path))
        await world.blobs.put(b"abc")
        pass_time(world, 30 * 24 * HOUR)
        assert await collected(world) == Collected(0, 0)
        with closing(apsw.Connection(str(storage.directory / "store.db"))) as db:
            db.execute("UPDATE meta SET value = value - ? WHERE key = 'born_at'", (SETTLING_MS,))
        assert await collected(world) == Collected(1, 3)


async def test_what_was_renewed_is_young(world: World) -> None:
    """For who is about to refer to it: a forwarded file, a webhook that was days on its way."""
    blob = await world.blobs.put(b"abc")
    pass_time(world, GRACE_MS + 1000)
    assert await world.blobs.renew(blob) == 3
    assert await collected(world) == Collected(0, 0)
    assert await world.blobs.renew("0" * 64) is None


async def test_what_was_stored_again_meanwhile_stays(world: World) -> None:
    """The last look is under the lock that names blobs."""
    blob = await world.blobs.put(b"abc")
    pass_time(world, GRACE_MS + 1000)
    before = time.time_ns() // 1_000_000 - GRACE_MS
    assert await world.blobs.older(blob[:2], before) == [blob]
    await world.blobs.put(b"abc")
    assert await world.blobs.remove([blob], before) == (0, 0)


async def test_nothing_goes_while_the_pipeline_hangs(world: World) -> None:
    """It may hold facts whose files have no row yet: the store refuses them for hours, say."""
    await world.blobs.put(b"abc")
    pass_time(world, GRACE_MS + 1000)
    stuck = collector(world, pipeline_age_s=GRACE_MS / 1000)
    assert await stuck.sweep(len(SHELVES)) == Collected(0, 0)


async def test_asking_the_journal_for_its_age_disturbs_nobody_who_reads_it(world: World) -> None:
    """P1: pipeline, replay and sweep read one connection of the journal, each in its turn."""
    for _ in range(20):
        world.storage.journal.append([envelope(b"{}" * 500)] * 50)
    sweeping = collector(world)
    reads = 0

    async def reread() -> None:
        nonlocal reads
        while True:
            reads += len(await world.journal.reread(0)) == 1000

    async with trio.open_nursery() as nursery:
        nursery.start_soon(reread)
        for _ in range(200):
            await sweeping.sweep(1)
        nursery.cancel_scope.cancel()
    assert reads


async def test_all_shelves_have_their_turn(world: World) -> None:
    for number in range(20):
        await world.blobs.put(b"%d" % number)
    pass_time(world, GRACE_MS + 1000)
    one = collector(world)
    gone = [(await one.sweep(64)).blobs for _ in range(4)]
    assert sum(gone) == 20
    assert max(gone) < 20


async def test_a_body_in_quarantine_keeps_what_it_names(world: World) -> None:
    """Also where the body is a file itself."""
    inner = await world.blobs.put(b"a photo")
    body = await world.blobs.put(b" " * 2_000_000 + b'{"base64":"blob:%s"}' % inner.encode())
    spilled = Envelope(
        received_at=world.now(), event="odd", instance="loja", body=b"", body_blob=body
    )
    facts = await (await Reader(world.blobs).parts(spilled))[0]()

    def keep(draft: Draft) -> None:
        batch = [Understood(Entry(1, spilled), facts)]
        apply_batch(draft, batch=batch, journal="j", reopen_within_ms=HOUR)

    await world.ledger.change(keep)
    assert world.storage.readers[0].quarantine(before=None, limit=9)
    pass_time(world, GRACE_MS + 1000)
    assert await collected(world) == Collected(0, 0)
    world.storage.maintenance.trim_quarantine(world.now(), 9)
    assert (await collected(world)).blobs == 2


async def test_a_webhook_whose_file_was_removed_on_the_way_is_refused(world: World) -> None:
    """503: Evolution posts it again. A body may take days as long as it makes progress."""
    ingest = Ingest(
        WebhookConfig(secret="s" * 32), world.journal, world.blobs, NopMetrics(), now=world.now
    )

    async def slow() -> AsyncIterator[bytes]:
        yield b'{"event":"messages.upsert","data":{"message":{"base64":"' + b"QUJD" * 50_000
        yield b'"},"x":"'
        for path in files(world).values():
            path.unlink()
        yield b'"}}'

    answer = await ingest.take_streamed(WebhookPath(event="", secret=None), slow())
    assert answer.status == 503
    assert world.journal.head == 0


# A model: whatever happens in whatever order, what somebody refers to is there.

CONTENTS = (b"one", b"two", b"three")
USED_SHELVES = tuple(sha256(content).hexdigest()[:2] for content in CONTENTS)
STEPS = (
    *("begin", "end", "garbled", "handle", "replay", "upload", "use upload"),
    *("collect", "collect", "hours", "trim journal", "retire files", "drop quarantine"),
)


class Story:
    """One run: webhooks on their way, a journal, a store, and time."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.collector = collector(world)
        self.reader = Reader(world.blobs)
        self.on_the_way: list[str] = []
        self.uploaded: list[str] = []
        self.handled = 0
        self.count = 0

    async def do(self, step: str, which: int) -> None:
        world = self.world
        old = world.now() - KEPT_MS
        match step:
            case "begin":
                self.on_the_way.append(await world.blobs.put(CONTENTS[which]))
            case "end" if self.on_the_way:
                blob = self.on_the_way.pop(which % len(self.on_the_way))
                await self._arrive(blob, with_photo(self._name(), blob))
            case "garbled" if self.on_the_way:
                blob = self.on_the_way.pop(which % len(self.on_the_way))
                body = b'{"data":7,"%s":"blob:%s"}' % (self._name().encode(), blob.encode())
                await self._arrive(blob, body)
            case "handle":
                for entry in world.storage.journal.read(self.handled, 1)[:1]:
                    await self._act(entry, is_new=True)
                    self.handled = entry.seq
            case "replay":
                for entry in world.storage.journal.read(0, 1 << 20)[: which + 1]:
                    if entry.seq <= self.handled:
                        await self._act(entry, is_new=False)
            case "upload":
                await self._hand_in(await world.blobs.put(CONTENTS[which]))
            case "use upload" if self.uploaded:
                # What relay/uploads.py does before a reply names the file.
                blob = self.uploaded[which % len(self.uploaded)]
                if await world.blobs.renew(blob) is not None:
                    await self._hand_in(blob)
            case "collect":
                await self.collector.sweep(len(SHELVES))
            case "hours":
                pass_time(world, (which + 1) * HOUR)
            case "trim journal":
                world.storage.journal.trim(self.handled, old)
            case "retire files":
                world.storage.maintenance.age_media(old, 100)
                world.storage.maintenance.trim_uploads(old)
            case "drop quarantine":
                world.storage.maintenance.trim_quarantine(old, 100)

    def _name(self) -> str:
        self.count += 1
        return f"W{self.count}"

    async def _arrive(self, blob: str, body: bytes) -> None:
        if await self.world.blobs.renew(blob) is not None:  # as relay/ingest.py does
            self.world.storage.journal.append([envelope(body, at=self.world.now())])

    async def _act(self, entry: Entry, *, is_new: bool) -> None:
        batch = [Understood(entry, await self.reader.facts(entry.envelope))]

        def work(draft: Draft) -> None:
            if is_new:
                apply_batch(draft, batch=batch, journal="j", reopen_within_ms=HOUR)
            else:
                apply_facts(draft, batch, reopen_within_ms=HOUR, refresh=True)

        await self.world.ledger.change(work)

    async def _hand_in(self, blob: str) -> None:
        row = UploadRecord(id=self._name(), agent="a", at=self.world.now(), media={"blob": blob})
        await self.world.ledger.change(lambda draft: draft.plan.uploads.append(row))
        self.uploaded.append(blob)

    def needed(self) -> set[str]:
        """Every file that a row or an entry of the journal names."""
        names = set()
        for entry in self.world.storage.journal.read(0, 1 << 30):
            text = entry.envelope.body.decode()
            names |= {part[:64] for part in text.split("blob:")[1:]}
        with closing(apsw.Connection(str(self.world.storage.directory / "store.db"))) as db:
            names |= {
                str(name)
                for (name,) in db.execute(
                    "SELECT media->>'id' FROM messages WHERE media->>'id' IS NOT NULL"
                    " AND media->>'state' IS NOT 'removed'"
                    " UNION SELECT media->>'blob' FROM uploads"
                )
            }
            for (body,) in db.execute("SELECT body FROM quarantine"):
                names |= {part[:64] for part in str(body).split("blob:")[1:]}
        return names


@settings(max_examples=15, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(STEPS), st.integers(0, len(CONTENTS) - 1)),
        min_size=20,
        max_size=60,
    )
)
def test_whatever_happens_what_is_referred_to_is_there_and_in_the_end_nothing_is_left(
    steps: list[tuple[str, int]],
) -> None:
    async def run(directory: Path) -> None:
        with stored(directory) as storage:
            world = at_the_real_time(World(storage, await open_blobs(directory)))
            story = Story(world)
            for step, which in steps:
                await story.do(step, which)
                if step == "collect":
                    assert story.needed() <= files(world).keys()
            pass_time(world, 2 * KEPT_MS)
            world.storage.journal.append([envelope(b'{"event":"nothing"}')])
            world.storage.journal.trim(1 << 40, world.now() - KEPT_MS)
            for step in ("retire files", "drop quarantine", "collect"):
                await story.do(step, 0)
            assert files(world) == {}

    with TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        patch.setattr(collecting, "SHELVES", USED_SHELVES)  # the others are empty
        trio.run(run, Path(directory))


async def test_a_removed_file_is_not_needed_by_its_message(world: World) -> None:
    blob = await world.blobs.put(b"abc")
    await world.apply(message("A", type="image", media=MediaFact(blob=blob)))
    pass_time(world, GRACE_MS + 1000)
    assert await collected(world) == Collected(0, 0)
    world.storage.maintenance.age_media(world.now(), 10)
    assert (await collected(world)).blobs == 1
