"""What is not taken in any more, however it comes: late, imported, compared or replayed (P2).

A message that retention has removed has no row any more that would know it again. Its moment, which
WhatsApp repeats every time, says the same: nothing older than messages are kept becomes a new one.
Retention itself removes a day later, so that two readings of one moment do not disagree. And of
who was erased nothing comes back that was said until then.
"""

import msgspec

from evorelay.model.change import Reaction, Vote
from evorelay.model.clock import NowMs
from evorelay.model.fact import ChangeFact, Chat, Fact, GroupFact, MessageFact, PersonFact
from evorelay.protocol.normalise.identity import parse_jid
from evorelay.relay.erased import Erased

SLACK_MS = 24 * 3600 * 1000


class Bygone:
    """``messages_ms``: how long messages are kept, 0 for ever."""

    def __init__(self, erased: Erased, *, messages_ms: int, now: NowMs) -> None:
        self._erased = erased
        self._messages_ms = messages_ms
        self._now = now

    @property
    def removed_before(self) -> int | None:
        """Messages sent before that (Unix ms) are removed; None: none are."""
        if not self._messages_ms:
            return None
        return self._now() - self._messages_ms - SLACK_MS

    def left(self, fact: Fact) -> Fact | None:
        """The fact, or what of it may still be acted on; None for nothing."""
        match fact:
            case MessageFact():
                return None if self._is_over(fact) else fact
            case ChangeFact(change=Reaction() | Vote() as change):
                return None if self._is_of_erased(fact.instance, change) else fact
            case PersonFact() if self._was_erased(fact.instance, fact.person):
                return None  # an address book still has them; their own messages say who they are
            case GroupFact() if not self._erased.is_empty:
                kept = tuple(
                    member
                    for member in fact.members
                    if not self._was_erased(fact.instance, member.person)
                )
                return msgspec.structs.replace(fact, members=kept)
        return fact

    def _is_over(self, fact: MessageFact) -> bool:
        if self._messages_ms and fact.sent_at < self._now() - self._messages_ms:
            return True
        people = [fact.chat] if fact.author is None else [fact.chat, fact.author]
        return any(self._erased.covers(fact.instance, one, fact.sent_at) for one in people)

    def _is_of_erased(self, instance: str, change: Reaction | Vote) -> bool:
        if self._erased.is_empty:
            return False
        aliases = [change.who]  # in a group
        if (jid := parse_jid(change.sender_id)) is not None:
            aliases += Chat(jid=str(jid), phone=jid.phone, lid=jid.lid).aliases
        until = self._erased.until(instance, aliases)
        return until is not None and change.at <= until

    def _was_erased(self, instance: str, person: Chat) -> bool:
        return self._erased.until(instance, person.aliases) is not None
