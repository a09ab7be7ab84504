"""Backups by the clock: one is made when it is due, checked at once, and the oldest ones go.

All the work is in ``relay/backup/``, in one thread and at a low share of the time, so that nobody
waits for it. A command beside the daemon may make backups too: what counts is on the disk.
"""

import logging
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from typing import TypeVar

import trio
from msgspec import Struct

from evorelay.config import BackupConfig
from evorelay.model.backup import (
    BackupFailed,
    BackupRunning,
    BackupStopped,
    DamagedBackup,
    Manifest,
)
from evorelay.model.clock import NowMs, utc
from evorelay.model.errors import Code, Refusal, RelayError
from evorelay.model.principal import Principal
from evorelay.protocol.schedule import next_due
from evorelay.relay.backup.checking import check_backup
from evorelay.relay.backup.listing import listed
from evorelay.relay.backup.making import make_backup
from evorelay.relay.backup.pace import Pace
from evorelay.relay.backup.shelf import Shelf
from evorelay.relay.backup_questions import BackupsPage, BackupStarted
from evorelay.relay.ledger import Ledger
from evorelay.relay.permission import check_supervisor
from evorelay.relay.questions import NoParams
from evorelay.relay.reads import Reads
from evorelay.relay.vitals import BackupFacts
from evorelay.storage.ports import Maintenance
from evorelay.storage.ports.backup import BackupStore
from evorelay.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

T = TypeVar("T")

SHARE = 0.25
"""Of one processor, while a backup is made or checked."""
LOOK_EVERY_S = 60.0
"""The clock may be set, and backups may come from the command line."""
RETRY_S = 900.0
CHANGES_MAX = 5_000_000
"""Rows of the log of changes without a backup: some 300 MB. Beyond it the next one is whole."""
CHANGES_PER_STEP = 5000


class _Newest(Struct, frozen=True):
    manifest: Manifest
    verified_at: int | None
    problem: str | None
    size: int


class Backups:
    def __init__(
        self,
        store: BackupStore,
        shelf: Shelf,
        ledger: Ledger,
        reads: Reads,
        maintenance: Maintenance,
        metrics: Metrics,
        config: BackupConfig,
        zone: tzinfo,
        *,
        spare_bytes: int,
        now: NowMs,
    ) -> None:
        """``spare_bytes``: of the disk, for everything else."""
        self._store = store
        self._shelf = shelf
        self._ledger = ledger
        self._reads = reads
        self._maintenance = maintenance
        self._metrics = metrics
        self._config = config
        self._zone = zone
        self._spare_bytes = spare_bytes
        self._now = now
        self._limiter = trio.CapacityLimiter(1)
        self._asked = trio.Event()
        self._running = False
        self._newest: _Newest | None = None
        self._since: datetime | None = None
        """From when on something should have been backed up, as long as nothing is."""
        self._failed_at: float | None = None
        self._trouble: str | None = None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Make backups when they are due, until cancelled; then nothing is left half made."""
        task_status.started()
        self._since = await self._first_message_at()
        while True:
            await self._look()
            if self._asked.is_set() or self._is_due():
                await self._back_up()
                self._asked = trio.Event()
            elif self._newest is not None and self._is_unchecked(self._newest):
                await self._check_newest()  # made by a command, or cut off by our end
            await self._trim()
            with trio.move_on_after(self._wait_s()):
                await self._asked.wait()

    def facts(self) -> BackupFacts:
        newest, due = self._newest, self._due()
        return BackupFacts(
            last_at=None if newest is None else _ms(newest.manifest.created_at),
            verified_at=None if newest is None else newest.verified_at,
            due_at=None if due is None else _ms(due),
            trouble=self._trouble or (newest and newest.problem) or None,
        )

    def size_bytes(self) -> float:
        return 0.0 if self._newest is None else float(self._newest.size)

    async def page(self, who: Principal, params: NoParams) -> BackupsPage:
        """Raises ``Refusal``."""
        check_supervisor(who)
        try:
            backups = await self._thread(lambda: listed(self._shelf), trio.CapacityLimiter(1))
        except BackupFailed as error:
            raise Refusal(Code.UNAVAILABLE, str(error)) from error
        return BackupsPage(
            backups=backups,
            next_at=self._due(),
            schedule=self._config.schedule,
            timezone=self._config.timezone,
            is_running=self._running,
        )

    async def start(self, who: Principal, params: NoParams) -> BackupStarted:
        """Have one made now; answers before it is done. Raises ``Refusal``."""
        if not who.is_at_least("admin"):
            raise Refusal(Code.FORBIDDEN, "this needs the role admin")
        if self._running or self._asked.is_set():
            raise Refusal(Code.BACKUP_RUNNING, "a backup is being made or checked; wait for it")
        self._asked.set()
        return BackupStarted(started=True)

    async def _back_up(self) -> None:
        began = trio.current_time()
        outcome = "failed"
        self._running = True
        try:
            manifest = await self._work(self._make)
            outcome = "done"
            self._trouble = self._failed_at = None
            log.info(
                "backup made",
                extra={"backup": manifest.id, "messages": manifest.counts.get("message", 0)},
            )
        except BackupRunning as error:
            outcome = "skipped"
            log.info("%s", error)
        except RelayError as error:
            self._trouble, self._failed_at = f"no backup was made: {error}", trio.current_time()
            log.error("%s; the next try is in %d min", self._trouble, RETRY_S / 60)
        finally:
            self._running = False
            self._metrics.backup_ended(outcome, trio.current_time() - began)
        await self._look()
        if outcome == "done":
            await self._check_newest()

    async def _check_newest(self) -> None:
        assert self._newest is not None
        backup_id = self._newest.manifest.id
        self._running = True
        began = trio.current_time()
        try:
            problem = await self._work(lambda pace: self._check(backup_id, pace))
        except BackupRunning:
            return
        except (RelayError, OSError) as error:
            self._trouble = f"backup {backup_id} could not be checked: {error}"
            log.error("%s", self._trouble)
            return
        finally:
            self._running = False
        self._metrics.backup_checked(problem is None, trio.current_time() - began)
        if problem is None:
            self._trouble = None
            log.info("backup verified", extra={"backup": backup_id})
        else:
            self._trouble = f"backup {backup_id} cannot be restored: {problem}"
            log.error("%s", self._trouble)
        await self._look()

    def _make(self, pace: Pace) -> Manifest:
        with self._shelf.locked():
            return make_backup(
                self._store,
                self._shelf,
                utc(self._now()),
                pace,
                spare_bytes=self._spare_bytes,
            )

    def _check(self, backup_id: str, pace: Pace) -> str | None:
        with self._shelf.locked():
            result = check_backup(self._store, self._shelf, backup_id, utc(self._now()), pace)
            if result.problem is None:  # an older one goes only for one that can be restored
                for dropped in self._shelf.drop_oldest(self._config.keep):
                    log.info("backup removed: there are newer ones", extra={"backup": dropped})
            return result.problem

    async def _work(self, work: Callable[[Pace], T]) -> T:
        """Run it in the thread; when we are cancelled it stops at its next breath."""
        pace = Pace(SHARE)

        async def stop_with_us() -> None:
            try:
                await trio.sleep_forever()
            finally:
                pace.stop()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(stop_with_us)
            try:
                return await self._thread(lambda: work(pace), self._limiter)
            except BackupStopped:
                await trio.lowlevel.checkpoint_if_cancelled()
                raise
            finally:
                nursery.cancel_scope.cancel()
        raise AssertionError("unreachable")

    async def _thread(self, work: Callable[[], T], limiter: trio.CapacityLimiter) -> T:
        return await trio.to_thread.run_sync(work, limiter=limiter)

    async def _look(self) -> None:
        """See what the newest backup is now."""
        try:
            self._newest = await self._thread(self._read_newest, self._limiter)
        except BackupFailed as error:
            self._trouble = str(error)

    def _read_newest(self) -> _Newest | None:
        ids = self._shelf.ids()
        for backup_id in reversed(ids):
            try:
                manifest, sums = self._shelf.manifest(backup_id)
                result = self._shelf.check_result(backup_id)
            except DamagedBackup as error:
                log.error("backup %s is damaged: %s", backup_id, error)
                continue
            is_known = result is not None and result.manifest_sha256 == sums
            problem = result.problem if result is not None and is_known else None
            is_verified = is_known and problem is None
            verified_at = _ms(result.at) if result is not None and is_verified else None
            return _Newest(manifest, verified_at, problem, self._shelf.size(backup_id))
        return None

    def _is_unchecked(self, newest: _Newest) -> bool:
        return newest.verified_at is None and newest.problem is None and not self._has_just_failed()

    def _due(self) -> datetime | None:
        after = self._since if self._newest is None else self._newest.manifest.created_at
        if after is None:
            after = utc(self._now())
        return next_due(self._config.schedule, self._zone, after)

    def _is_due(self) -> bool:
        due = self._due()
        return due is not None and due <= utc(self._now()) and not self._has_just_failed()

    def _has_just_failed(self) -> bool:
        return self._failed_at is not None and trio.current_time() - self._failed_at < RETRY_S

    def _wait_s(self) -> float:
        due = self._due()
        if due is None or self._has_just_failed():
            return LOOK_EVERY_S
        return min(LOOK_EVERY_S, max(0.05, (due - utc(self._now())).total_seconds()))

    async def _first_message_at(self) -> datetime | None:
        try:
            at = await self._reads(lambda reader: reader.first_received_at())
        except RelayError:
            return None
        return None if at is None else utc(at)

    async def _trim(self) -> None:
        """Let go of the log of changes as far as a backup that can be restored holds it."""
        newest = self._newest
        try:
            epoch = await self._reads(lambda reader: reader.epoch())
            is_held = newest is not None and newest.verified_at is not None
            held = newest.manifest.mark if newest is not None and is_held else None
            up_to = held.revision if held is not None and held.epoch == epoch else 0
            while await self._ledger.maintain(
                lambda: self._maintenance.trim_changes(up_to, CHANGES_MAX, CHANGES_PER_STEP)
            ):
                pass
        except RelayError as error:
            log.warning("the log of changes could not be trimmed: %s", error)


def _ms(moment: datetime) -> int:
    return round(moment.astimezone(UTC).timestamp() * 1000)
