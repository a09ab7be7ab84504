"""What Evolution dropped is found: its own list of messages is compared with ours (P6).

Evolution keeps trying a webhook for about 20 minutes and forgets it in a restart (research §1.2).
So its list is asked for after our start, when an instance opens again, when an open one is silent,
and when somebody asks. What is missing goes through the journal and the pipeline like any webhook.

``InstanceRecord.reconciled_at`` is how far nothing is missing, and where the next comparison
begins. It moves when one is through, but follows what was last heard of an open instance: what
WhatsApp holds back for a dead connection comes later, with the time of then.
"""

import logging
from collections.abc import Sequence

import trio

from evorelay.model.clock import NowMs
from evorelay.model.errors import Code, JournalUnavailable, Refusal, RelayError
from evorelay.model.ids import NewId
from evorelay.model.outcome import FaultKind, GatewayFault
from evorelay.model.principal import Principal
from evorelay.model.records import InstanceRecord
from evorelay.model.views import Failure
from evorelay.relay.comparison import Comparer
from evorelay.relay.draft import Draft
from evorelay.relay.gateway import Gateway
from evorelay.relay.instance_signals import InstanceSignals
from evorelay.relay.ledger import Ledger
from evorelay.relay.permission import check_supervisor
from evorelay.relay.questions import NoParams
from evorelay.relay.reads import Reads
from evorelay.relay.reconcile_questions import ReconcileParams, ReconcileRuns, Trigger
from evorelay.relay.reconcile_runs import Run, Runs
from evorelay.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

RETRIES_MS = 30 * 60_000
"""Taken off the beginning: how long a webhook may still come, with some time to spare."""
OPENED_S = 15.0
"""After an instance opened: Evolution fetches from WhatsApp what came meanwhile."""
AGAIN_S = (30.0, 120.0, 600.0, 1800.0)
"""Until a comparison that failed is tried again, as long as there may be a gap."""
TICK_S = 30.0
_GONE = ("no_such_instance",)
PER_HOST = 2
"""Instances of one Evolution at once. One that hangs holds up its own only."""


class Reconciler:
    """``silence_s`` and ``back_s`` are ``evolution.silence`` and ``evolution.reconcile_max``."""

    def __init__(
        self,
        gateway: Gateway,
        comparer: Comparer,
        reads: Reads,
        ledger: Ledger,
        signals: InstanceSignals,
        metrics: Metrics,
        *,
        silence_s: float,
        back_s: float,
        new_id: NewId,
        now: NowMs,
        opened_s: float = OPENED_S,
        tick_s: float = TICK_S,
        again_s: Sequence[float] = AGAIN_S,
    ) -> None:
        self._gateway = gateway
        self._comparer = comparer
        self._reads = reads
        self._ledger = ledger
        self._signals = signals
        self._metrics = metrics
        self._silence_ms = int(silence_s * 1000)
        self._back_ms = int(back_s * 1000)
        self._now = now
        self._opened_s = opened_s
        self._tick_s = tick_s
        self._again_s = again_s
        self._runs = Runs(new_id)
        self._hosts: dict[str, trio.CapacityLimiter] = {}
        self._open: set[str] = set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until cancelled; what is under way then is begun anew at the next start."""
        names = self._signals.subscribe()
        rows = await self._reads(lambda reader: reader.instances())
        for row in rows:
            if row.state == "open":
                self._open.add(row.name)
            self._look_back(row, "start")
        async with names, trio.open_nursery() as nursery:
            nursery.start_soon(self._hear, names)
            nursery.start_soon(self._watch)
            task_status.started()
            while True:
                for instance in await self._runs.idle_with_work():
                    nursery.start_soon(self._work, instance)

    async def reconcile(self, who: Principal, params: ReconcileParams) -> ReconcileRuns:
        """Have the caller's instances compared; returns at once, ``runs`` says how they get on."""
        check_supervisor(who)
        since = int(params.since.timestamp() * 1000)
        if not 0 <= since <= self._now():
            raise Refusal(Code.BAD_REQUEST, "`since` must be in the past")
        names = await self._askable(who, params.instance)
        begun = [self._runs.ask(name, since, "command") for name in names]
        return ReconcileRuns([run.view() for run in begun])

    async def runs(self, who: Principal, params: NoParams) -> ReconcileRuns:
        """What is waited for, under way, and over lately, of the caller's instances."""
        check_supervisor(who)
        return ReconcileRuns([run.view() for run in self._runs.all() if who.may_see(run.instance)])

    def failing(self) -> list[tuple[str, float, str]]:
        """As ``Runs.failing``, for health."""
        return self._runs.failing()

    async def _askable(self, who: Principal, asked_for: str | None) -> list[str]:
        rows = await self._reads(lambda reader: reader.instances())
        known = {row.name for row in rows} | set(self._gateway.instances())
        names = sorted(name for name in known if who.may_see(name))
        if asked_for is not None:
            names = [name for name in names if name == asked_for]
            if not names:
                raise Refusal(Code.NOT_FOUND, "there is no such instance")
        configured = [name for name in names if self._gateway.is_configured(name)]
        if not configured:
            raise Refusal(
                Code.BAD_REQUEST,
                "no Evolution can be asked: set evolution.url and evolution.api_key",
            )
        return configured

    async def _hear(self, names: trio.MemoryReceiveChannel[str]) -> None:
        """Instances that open after they were not."""
        async for name in names:
            if self._signals.state(name) != "open":
                self._open.discard(name)
            elif name not in self._open:
                self._open.add(name)
                await self._look_back_at(name, "open")

    async def _watch(self) -> None:
        """Instances that say they are open and say nothing else."""
        asked_at: dict[str, int] = {}
        started_at = self._now()
        while True:
            await trio.sleep(self._tick_s)
            now = self._now()  # before the rows: a slow read must not make silence of what is new
            try:
                rows = await self._reads(lambda reader: reader.instances())
            except RelayError as error:
                log.warning("silent instances were not looked for: %s", error)
                continue
            for row in rows:
                looked_at = asked_at.get(row.name, started_at)
                heard_at = 0 if row.suspicion else row.last_event_at
                if row.state == "open" and now - max(looked_at, heard_at) > self._silence_ms:
                    asked_at[row.name] = now
                    self._look_back(row, "silence")

    async def _look_back_at(self, name: str, trigger: Trigger) -> None:
        try:
            row = await self._reads(lambda reader: reader.instance(name))
        except RelayError as error:
            log.warning("what was missed by %s is not looked for yet: %s", name, error)
            self._open.discard(name)  # the next signal, or silence, has it looked for
            return
        if row is not None:
            self._look_back(row, trigger)

    def _look_back(self, row: InstanceRecord, trigger: Trigger) -> None:
        """Compare from where nothing was missing, as far back as is allowed."""
        if row.cause == "removed" or not self._gateway.is_configured(row.name):
            return
        since = _complete_until(row) - RETRIES_MS
        floor = self._now() - self._back_ms
        run = self._runs.ask(
            row.name,
            max(since, floor),
            trigger,
            wait_s=self._opened_s if trigger == "open" else 0.0,
        )
        run.found.is_cut |= since < floor

    async def _work(self, instance: str) -> None:
        """Do what is asked of one instance until nothing is."""
        host = self._gateway.host(instance) or ""
        limiter = self._hosts.setdefault(host, trio.CapacityLimiter(PER_HOST))
        with self._runs.working(instance):
            while (run := await self._runs.next(instance)) is not None:
                async with limiter:
                    await self._compare(run)

    async def _compare(self, run: Run) -> None:
        self._runs.begin(run)
        began_at = run.until = self._now()
        try:
            await self._comparer.compare(
                run.instance, since=run.since, until=began_at, found=run.found
            )
            held_back_ms = self._back_ms // 2
            await self._ledger.change(lambda draft: _remember(draft, run, began_at, held_back_ms))
        except GatewayFault as fault:
            run.error = Failure(code=fault.code, message=fault.message)
            if fault.kind is FaultKind.PERMANENT or fault.code in _GONE:
                run.is_lasting = False  # a start, an opening or a person has it tried again
        except JournalUnavailable as error:
            run.error = Failure(code=Code.UNAVAILABLE.code, message=f"our journal: {error}")
        except RelayError as error:
            run.error = Failure(code=Code.UNAVAILABLE.code, message=f"our store: {error}")
        self._runs.end(run, again_s=self._again_s[min(run.failures, len(self._again_s) - 1)])
        self._tell(run)

    def _tell(self, run: Run) -> None:
        found = run.found
        outcome = "failed" if run.error else "cut" if found.is_cut else "done"
        self._metrics.reconciled(run.trigger, outcome)
        if run.error is not None:
            log.warning(
                "%s: what was missed could not be looked for: %s",
                run.instance,
                run.error.message,
                extra={"trigger": run.trigger, "code": run.error.code},
            )
        elif found.is_cut:
            log.warning(
                "%s: not all that may have been missed was looked at; for more: "
                "evorelay reconcile --since 7d --instance %s",
                run.instance,
                run.instance,
                extra={"trigger": run.trigger, "looked_at": found.looked_at},
            )
        if found.recovered or found.changes:
            log.info(
                "%s: %d messages and %d changes were recovered that Evolution did not post",
                run.instance,
                found.recovered,
                found.changes,
                extra={"trigger": run.trigger, "looked_at": found.looked_at},
            )


def _complete_until(row: InstanceRecord) -> int:
    """Unix ms. Before the first comparison: since we know the instance."""
    return row.reconciled_at or row.created_at


def _remember(draft: Draft, run: Run, began_at: int, held_back_ms: int) -> None:
    """Note that nothing is missing now, unless the run left a gap before it.

    ``held_back_ms``: as old is what may yet come of an instance that is silent.
    """
    row = draft.tx.instances([run.instance]).get(run.instance)
    if row is None or row.state in ("close", "connecting"):
        return
    if run.is_lasting or run.since <= _complete_until(row):
        alive_at = max(row.last_event_at, began_at - held_back_ms)
        row.reconciled_at = max(row.reconciled_at, min(began_at, alive_at))
        draft.put_instance(row)
