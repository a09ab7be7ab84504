"""Sends that stay silent are asked about: Evolution loses receipts, fast ones for good.

(research/evolution.md §3.2: an ack of a message that is not in its database yet is dropped.) What
it answers is done to the message as ``messages.update`` would have: forward only, and told.
"""

import logging
from collections import defaultdict
from collections.abc import Sequence

import trio

from evorelay.model.change import Status
from evorelay.model.clock import NowMs
from evorelay.model.errors import RelayError
from evorelay.model.outcome import FaultKind, GatewayFault
from evorelay.model.records import MessageRecord, OutboxRecord
from evorelay.protocol.changes import News, apply_change
from evorelay.protocol.delivery import RANK
from evorelay.relay.draft import Draft
from evorelay.relay.gateway import Gateway
from evorelay.relay.ledger import Ledger
from evorelay.relay.reads import Reads

log = logging.getLogger(__name__)

Silent = tuple[OutboxRecord, MessageRecord]

LOOKS_MS = (60_000, 6 * 60_000, 66 * 60_000, 426 * 60_000)
"""After the send: a minute, and then 5 minutes, an hour and 6 hours later. Then it is left."""
DOWN_MS = 5 * 60_000
"""Until an instance that cannot be asked is asked again."""
TICK_S = 10.0
ROWS_PER_INSTANCE = 200
"""Read in a tick. Most of them turn out to be told of already, which costs no call."""
PER_INSTANCE = 20
"""Asked about in a tick; the rest has its turn in the next."""


class SilentSends:
    def __init__(
        self,
        gateway: Gateway,
        reads: Reads,
        ledger: Ledger,
        *,
        now: NowMs,
        tick_s: float = TICK_S,
    ) -> None:
        self._gateway = gateway
        self._reads = reads
        self._ledger = ledger
        self._now = now
        self._tick_s = tick_s
        self._busy: set[str] = set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until cancelled. What is due then is due at the next start."""
        async with trio.open_nursery() as nursery:
            task_status.started()
            while True:
                await trio.sleep(self._tick_s)
                busy = set(self._busy)  # what they settle meanwhile may still look due
                for instance, silent in (await self._due()).items():
                    if instance not in busy:
                        self._busy.add(instance)
                        nursery.start_soon(self._ask_of, instance, silent)

    async def _due(self) -> dict[str, list[Silent]]:
        now = self._now()
        try:
            rows = await self._reads(lambda reader: reader.outbox_silent(now, ROWS_PER_INSTANCE))
        except RelayError as error:
            log.warning("silent sends were not looked for: %s", error)
            return {}
        found: dict[str, list[Silent]] = defaultdict(list)
        for row, message in rows:
            found[row.instance].append((row, message))
        return found

    async def _ask_of(self, instance: str, silent: Sequence[Silent]) -> None:
        """One instance's, one after the other; one that cannot be asked puts off the rest."""
        try:
            for number, (row, message) in enumerate(silent):
                if not is_silent(message):
                    await self._settle([row], [])
                    continue
                if number >= PER_INSTANCE:
                    break
                try:
                    words = await self._gateway.statuses(instance, message.whatsapp_id or "")
                except GatewayFault as fault:
                    if fault.kind is FaultKind.PERMANENT:
                        await self._settle([row], [])
                        continue
                    await self._settle([row for row, _ in silent[number:]], [], at_least=DOWN_MS)
                    break
                await self._settle([row], words)
        except RelayError as error:
            log.warning("the statuses of %s were not stored: %s", instance, error)
        finally:
            self._busy.discard(instance)

    async def _settle(
        self, rows: Sequence[OutboxRecord], words: Sequence[str], *, at_least: int = 0
    ) -> None:
        await self._ledger.change(lambda draft: _settled(draft, rows, words, at_least))


def is_silent(message: MessageRecord) -> bool:
    """Whether WhatsApp has not said that the message got anywhere."""
    if message.whatsapp_id is None or message.deleted_at is not None:
        return False
    return "unconfirmed" in message.metadata or message.status in ("pending", "sent")


def _settled(
    draft: Draft, rows: Sequence[OutboxRecord], words: Sequence[str], at_least: int
) -> None:
    """Do what was answered to the rows' messages, and say when to ask again."""
    fresh = draft.tx.outbox(row.id for row in rows)
    messages = draft.tx.messages_by_id(row.message_id for row in fresh.values())
    for seen in rows:
        row = fresh.get(seen.id)
        if row is None or (row.state, row.due_at) != (seen.state, seen.due_at):
            continue  # somebody else has decided about it meanwhile
        message = messages.get(row.message_id)
        if message is not None:
            _report(draft, message, words)
        goes_on = message is not None and is_silent(message)
        row.due_at = _next_look(row, draft.now, at_least) if goes_on else 0
        draft.plan.changed_outbox.append(row)


def _report(draft: Draft, message: MessageRecord, words: Sequence[str]) -> None:
    # The furthest first: nobody has to be told of the steps before it.
    told = sorted(words, key=lambda word: RANK.get(word, 0), reverse=True)
    news = [apply_change(message, Status(word)) for word in told]
    if any(news):
        draft.change_message(message)
    if News.SHOWN in news:
        draft.tell_message("message.updated", message)


def _next_look(row: OutboxRecord, now: int, at_least: int) -> int:
    """Unix ms, 0 for never."""
    sent_at = row.ended_at or row.created_at
    due = [sent_at + look for look in LOOKS_MS if sent_at + look > now]
    return max(due[0], now + at_least) if due else 0
