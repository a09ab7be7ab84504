"""Acting on what old journal entries say: for good, or in a transaction that is rolled back.

What a webhook said of a moment that is over (an instance's connection, its QR code) is left out: it
would be told as news. A bug that an entry meets is an answer about that entry, as in the pipeline.
"""

import logging
from collections.abc import Awaitable
from typing import TypeVar

from evorelay.model.envelope import Entry
from evorelay.model.errors import RelayError
from evorelay.model.fact import Fact, IgnoredFact, InstanceFact, QrCodeFact, QuarantineFact
from evorelay.relay.apply import Understood, apply_facts
from evorelay.relay.bygone import Bygone
from evorelay.relay.differences import Difference, Found, differences
from evorelay.relay.draft import Draft
from evorelay.relay.ledger import Ledger
from evorelay.relay.pipeline import POISONED
from evorelay.relay.reading import Part, Reader

log = logging.getLogger(__name__)

T = TypeVar("T")


class Again:
    """``is_dry``: nothing is stored, neither rows nor files, and nobody is told."""

    def __init__(
        self,
        ledger: Ledger,
        reader: Reader,
        *,
        reopen_within_ms: int,
        is_dry: bool,
        bygone: Bygone | None = None,
    ) -> None:
        self._run = ledger.rehearse if is_dry else ledger.change
        self._reader = reader.dry() if is_dry else reader
        self._reopen_within_ms = reopen_within_ms
        self._bygone = bygone

    async def parts(self, entry: Entry) -> list[Part] | QuarantineFact:
        """As ``Reader.parts``; also what ``read`` and ``act`` raise is ``StoreUnavailable``."""
        return await _surely(self._reader.parts(entry.envelope), entry)

    async def read(self, part: Part, entry: Entry) -> tuple[list[Fact], QuarantineFact | None]:
        """What is worth saying late, and what could not be understood (the first of it)."""
        facts = await _surely(part(), entry)
        if isinstance(facts, QuarantineFact):
            return [], facts
        passing = (InstanceFact, QrCodeFact, IgnoredFact, QuarantineFact)
        refused = (fact for fact in facts if isinstance(fact, QuarantineFact))
        return [fact for fact in facts if not isinstance(fact, passing)], next(refused, None)

    async def act(
        self,
        batch: list[Understood],
        found: Found,
        *,
        refresh: bool,
        replayed: str | None = None,
    ) -> QuarantineFact | None:
        """One transaction; returns why it could not be done, if a bug was met.

        ``refresh`` as in ``apply_facts``; ``replayed`` is what leaves quarantine with it.
        """

        def work(draft: Draft) -> list[Difference]:
            apply_facts(
                draft,
                batch,
                reopen_within_ms=self._reopen_within_ms,
                refresh=refresh,
                bygone=self._bygone,
            )
            if replayed is not None:
                draft.plan.replayed.append((replayed, draft.now))
            return differences(draft)

        made = await _surely(self._run(work), batch[0].entry)
        if isinstance(made, QuarantineFact):
            return made
        found.add(made)
        return None


async def _surely(step: Awaitable[T], entry: Entry) -> T | QuarantineFact:
    try:
        return await step
    except RelayError:
        raise
    except Exception as error:  # a bug met this entry: the next one may be fine
        log.error("journal entry %d cannot be replayed: a bug", entry.seq, exc_info=error)
        return QuarantineFact(reason=POISONED, detail=f"{type(error).__name__} while replaying it")
