"""Backups by the clock: one is made when it is due, checked at once, and the oldest ones go.

All the work is in ``relay/backup/``, in one thread and at a low share of the time, so that nobody
waits for it. A command beside the daemon may make backups too: what counts is on the disk.
"""

import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta, tzinfo
from typing import TypeVar

import trio

from evorelay.config import BackupConfig
from evorelay.model.backup import BackupFailed, BackupRunning, CheckResult, Manifest
from evorelay.model.clock import NowMs, utc
from evorelay.model.errors import Code, Refusal, RelayError
from evorelay.model.principal import Principal
from evorelay.protocol.schedule import next_due
from evorelay.relay.backup.checking import check_backup
from evorelay.relay.backup.listing import Newest, drop_old, listed, newest_of
from evorelay.relay.backup.making import make_backup
from evorelay.relay.backup.pace import Pace
from evorelay.relay.backup.restoring import remove_leftovers
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
"""After one that failed."""
BUSY_S = 5.0
"""While a command makes one."""
CHANGES_MAX = 5_000_000
"""Rows of the log of changes without a backup: some 300 MB. Beyond it the next one is whole."""
CHANGES_PER_STEP = 5000


_A_DAY = timedelta(days=1)
_CLOCKS_DIFFER = timedelta(minutes=5)
_NOT_MADE = "no backup was made"
_DAMAGED = "the newest backup cannot be restored"


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
        self._thread = trio.CapacityLimiter(1)
        self._asked = trio.Event()
        self._is_running = False
        self._newest: Newest | None = None
        self._since = utc(now())
        """As long as there is no backup: when the store's first message came, or our own start if
        that was earlier. A fixed moment: the next run is due after it, and stays due."""
        self._not_before = trio.current_time()
        self._troubles: dict[str, str] = {}
        """What could not be done, and why; gone when it could."""

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Make backups when they are due, until cancelled; then nothing is left half made."""
        task_status.started()
        await self._surely("backups cannot be made", self._prepare)
        while True:
            await self._surely("backups cannot be looked at", self._look)
            if self._asked.is_set() or self._is_due():
                await self._busily(_NOT_MADE, self._back_up)
            elif self._newest is not None and self._newest.is_unchecked and self._may_try():
                # Made by a command that was stopped, or by us before our own end.
                await self._busily("the newest backup was not checked", self._check)
            await self._surely("the log of changes was not trimmed", self._trim)
            with trio.move_on_after(self._wait_s()):
                await self._asked.wait()

    def facts(self) -> BackupFacts:
        newest, due = self._newest, self._due()
        return BackupFacts(
            last_at=None if newest is None else _ms(newest.manifest.created_at),
            verified_at=None
            if newest is None or newest.verified_at is None
            else max(_ms(newest.verified_at), _ms(newest.manifest.created_at)),
            due_at=None if due is None else _ms(due),
            trouble=next(iter(self._troubles.values()), None),
        )

    def size_bytes(self) -> float:
        """Of the newest backup."""
        return 0.0 if self._newest is None else float(self._newest.size_bytes)

    async def page(self, who: Principal, params: NoParams) -> BackupsPage:
        """Raises ``Refusal``."""
        check_supervisor(who)
        try:
            backups = await trio.to_thread.run_sync(listed, self._shelf)
        except BackupFailed as error:
            raise Refusal(Code.UNAVAILABLE, str(error)) from error
        return BackupsPage(
            backups=backups,
            next_at=self._due(),
            schedule=self._config.schedule,
            timezone=self._config.timezone,
            is_running=self._is_running,
        )

    async def start(self, who: Principal, params: NoParams) -> BackupStarted:
        """Have one made now; answers before it is done. Raises ``Refusal``."""
        if not who.is_at_least("admin"):
            raise Refusal(Code.FORBIDDEN, "this needs the role admin")
        if self._is_running or self._asked.is_set():
            raise Refusal(Code.BACKUP_RUNNING, "a backup is being made or checked; wait for it")
        self._asked.set()
        return BackupStarted(started=True)

    async def _busily(self, failing: str, work: Callable[[], Awaitable[None]]) -> None:
        self._is_running = True
        self._asked = trio.Event()
        try:
            await self._surely(failing, work)
        finally:
            self._is_running = False

    async def _surely(self, failing: str, work: Callable[[], Awaitable[None]]) -> None:
        """Whatever is wrong with backups is told, and ends nothing but them."""
        try:
            await work()
            self._troubles.pop(failing, None)
        except BackupRunning as error:
            log.info("%s", error)
            self._not_before = trio.current_time() + BUSY_S
        except (RelayError, OSError) as error:
            self._fail(failing, str(error))
        except Exception as error:  # a bug in a backup must not end the daemon
            self._fail(failing, f"{type(error).__name__}, a bug; the log says more")
            log.exception("a bug met a backup")

    def _fail(self, failing: str, why: str) -> None:
        self._not_before = trio.current_time() + RETRY_S
        trouble = f"{failing}: {why}"
        if trouble != self._troubles.get(failing):
            log.error("%s", trouble)
        self._troubles[failing] = trouble

    async def _prepare(self) -> None:
        at = await self._reads(lambda reader: reader.first_received_at())
        if at is not None:
            self._since = min(self._since, utc(at))

        # What a crash left behind goes, and a directory we may not use is told of at once.
        await self._work(lambda pace: remove_leftovers(self._store))
        await self._work(lambda pace: self._shelf.tidy())

    async def _look(self) -> None:
        """See what the newest backup is now."""
        newest = await trio.to_thread.run_sync(newest_of, self._shelf, limiter=self._thread)
        before, self._newest = self._newest, newest
        if newest is None or newest == before:
            return
        self._troubles.pop(_NOT_MADE, None)  # it may be a command's
        self._troubles.pop(_DAMAGED, None)
        if newest.problem is not None:
            self._troubles[_DAMAGED] = f"{_DAMAGED} ({newest.manifest.id}): {newest.problem}"

    async def _back_up(self) -> None:
        began = trio.current_time()
        outcome = "failed"
        try:
            manifest = await self._work(self._make)
            outcome = "done"
        except BackupRunning:
            outcome = "skipped"
            raise
        finally:
            self._metrics.backup_ended(outcome, trio.current_time() - began)
        log.info(
            "backup made",
            extra={"backup": manifest.id, "messages": manifest.counts.get("message", 0)},
        )
        await self._look()
        await self._check()

    async def _check(self) -> None:
        assert self._newest is not None
        backup_id = self._newest.manifest.id
        result = await self._work(lambda pace: self._prove(backup_id, pace))
        self._metrics.backup_checked(result.problem is None, result.seconds)
        if result.problem is None:
            log.info("backup verified", extra={"backup": backup_id})
        else:
            log.error("backup %s cannot be restored: %s", backup_id, result.problem)
        await self._look()

    def _make(self, pace: Pace) -> Manifest:
        with self._shelf.locked():
            self._drop_old()  # what a lower backup.keep gives up makes room
            return make_backup(
                self._store,
                self._shelf,
                utc(self._now()),
                pace,
                keep=self._config.keep,
                spare_bytes=self._spare_bytes,
            )

    def _prove(self, backup_id: str, pace: Pace) -> CheckResult:
        with self._shelf.locked():
            result = check_backup(self._store, self._shelf, backup_id, utc(self._now()), pace)
            self._drop_old()
            return result

    def _drop_old(self) -> None:
        for dropped in drop_old(self._shelf, self._config.keep):
            log.info("backup removed: there are newer ones", extra={"backup": dropped})

    async def _work(self, work: Callable[[Pace], T]) -> T:
        """Run it in the thread. When we are cancelled it ends at its next breath."""
        pace = Pace(SHARE, check=trio.from_thread.check_cancelled)
        return await trio.to_thread.run_sync(work, pace, limiter=self._thread)

    async def _trim(self) -> None:
        """Let go of the log of changes as far as a backup that can be restored holds it."""
        newest, up_to = self._newest, 0
        if newest is not None and newest.verified_at is not None:
            epoch = await self._reads(lambda reader: reader.epoch())
            if newest.manifest.mark.epoch == epoch:
                up_to = newest.manifest.mark.revision
        while await self._ledger.maintain(
            lambda: self._maintenance.trim_changes(up_to, CHANGES_MAX, CHANGES_PER_STEP)
        ):
            pass

    def _due(self) -> datetime | None:
        now = utc(self._now())
        after = self._since if self._newest is None else self._newest.manifest.created_at
        if after > now + _CLOCKS_DIFFER:
            after = now - _A_DAY  # the clock was wrong then: it must not keep us waiting till then
        return next_due(self._config.schedule, self._zone, after)

    def _is_due(self) -> bool:
        due = self._due()
        return due is not None and due <= utc(self._now()) and self._may_try()

    def _may_try(self) -> bool:
        return trio.current_time() >= self._not_before

    def _wait_s(self) -> float:
        due = self._due()
        if due is None:
            return LOOK_EVERY_S
        until_due = (due - utc(self._now())).total_seconds()
        until_may = self._not_before - trio.current_time()
        return min(LOOK_EVERY_S, max(until_due, until_may, 0.05))


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
