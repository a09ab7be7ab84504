"""Calls: the ``call`` event, and how a call is put into words wherever it is reported.

One call is told in several webhooks, in any order, and once more as a message of its own in
imported history. Each names one state; ``protocol/duplicates.py`` decides which one stands.
"""

from typing import Any

from evorelay.model.fact import Chat, Fact, MessageFact
from evorelay.protocol.normalise.identity import is_own, parse_jid, person_of
from evorelay.protocol.normalise.reason import Reason, quarantined
from evorelay.protocol.normalise.source import Source
from evorelay.protocol.normalise.values import flag_of, integer_of, iso_moment_of, whatsapp_id

_RINGS = ""
_STATES = {
    "offer": _RINGS,
    "ringing": _RINGS,
    "terminate": "encerrada",
    "timeout": "perdida",
    "reject": "recusada",
    "accept": "atendida",
}
# WhatsApp's CallLogMessage.CallOutcome, by name and number.
_OUTCOMES = {
    "CONNECTED": "atendida",
    "MISSED": "perdida",
    "FAILED": "que falhou",
    "REJECTED": "recusada",
    "ACCEPTED_ELSEWHERE": "atendida",
    "ONGOING": "em andamento",
    "SILENCED_BY_DND": "silenciada",
    "SILENCED_UNKNOWN_CALLER": "silenciada",
}
_OUTCOME_NAMES = tuple(_OUTCOMES)


def call_label(state: str, *, video: bool) -> str:
    """What a person reads of a call in a state of the ``call`` event."""
    return _label(_STATES.get(state, _RINGS), video=video)


def call_log_label(content: Any) -> str | None:
    """The same of a ``callLogMesssage``, which tells of a call that is over."""
    if not isinstance(content, dict):
        return None
    outcome = content.get("callOutcome")
    number = integer_of(outcome)
    if number is not None and 0 <= number < len(_OUTCOME_NAMES):
        outcome = _OUTCOME_NAMES[number]
    word = _OUTCOMES.get(outcome, _RINGS) if isinstance(outcome, str) else _RINGS
    return _label(word, video=bool(flag_of(content.get("isVideo"))))


def _label(word: str, *, video: bool) -> str:
    return " ".join(filter(None, ("[Ligação de", "vídeo" if video else "voz", word))) + "]"


def call_facts(source: Source, row: Any) -> list[Fact]:
    """A call in one of its states, as a message; ``whatsapp_id`` is the call's id.

    A state of which nothing is known here (``preaccept``, ``relaylatency``) says nothing.
    """
    if not isinstance(row, dict):
        return [quarantined(Reason.BAD_DATA, "the call is not an object")]
    state = row.get("status", "offer")
    if not isinstance(state, str) or state not in _STATES:
        return []
    id_ = whatsapp_id(row.get("id"))
    if id_ is None:
        return [quarantined(Reason.NO_ID, "the call has no id")]
    caller = _caller(source, row)
    group = parse_jid(row.get("groupJid")) or parse_jid(row.get("chatId"))
    if flag_of(row.get("isGroup")) and not (group and group.domain == "g.us"):
        return []  # of a group that is not named: its first webhook said which
    if group and group.domain == "g.us":
        chat: Chat | None = Chat(jid=str(group), is_group=True)
    else:
        chat = caller
    if chat is None:
        return [quarantined(Reason.NO_CHAT, "no JID of the call can be read")]
    video = bool(flag_of(row.get("isVideo")))
    return [
        MessageFact(
            instance=source.instance,
            whatsapp_id=id_,
            chat=chat,
            from_me=False,
            type="call",
            content=call_label(state, video=video),
            sent_at=iso_moment_of(row.get("date"), source.received_at),
            sender_id=caller.jid if caller else None,
            author=caller if chat.is_group else None,
            status="received",
            metadata={"call": state, "video": video},
        )
    ]


def _caller(source: Source, row: dict[str, Any]) -> Chat | None:
    """Who it is with. ``from`` is who began it, maybe we, and so no other name of ``chatId``."""
    chat, creator = parse_jid(row.get("chatId")), parse_jid(row.get("from"))
    known = [jid for jid in (chat, creator) if jid and not is_own(jid, source.own_phone)][:1]
    phone = parse_jid(row.get("callerPn"))
    if known == [creator] and phone and not is_own(phone, source.own_phone):
        known.append(phone)
    return person_of(known)
