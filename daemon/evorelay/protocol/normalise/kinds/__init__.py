"""The table of WhatsApp's message types: what each one is to us, and where its words are.

A new type is one entry in the table of its family and one fixture in ``tests/fixtures/webhooks``.
Field names are WhatsApp's (protobuf JSON) and, behind them, Meta's where the Cloud API channel
passes those on (research: ``data`` by event).

plain         texts, files, places, contact cards
interactive   what has buttons, lists and forms, and the answers to them
business      goods, money, events, invitations, calls
"""

from evorelay.protocol.normalise.kinds.business import BUSINESS
from evorelay.protocol.normalise.kinds.interactive import INTERACTIVE
from evorelay.protocol.normalise.kinds.kind import FILE_ITSELF, Kind, kind
from evorelay.protocol.normalise.kinds.plain import PLAIN

# In order of precedence, should a message without a usable messageType carry several.
KINDS: dict[str, Kind] = {**PLAIN, **INTERACTIVE, **BUSINESS}

UNKNOWN_KIND = kind(
    "unsupported",
    "Mensagem não suportada",
    headed=True,
    text="text caption body.text contentText message title name",
)
EMPTY_KIND = kind("unsupported", "Mensagem sem conteúdo")

# They change another message, or add to it out of anybody's sight; none is a message of its own.
CHANGES = frozenset(
    (
        "reactionMessage",
        "encReactionMessage",
        "pollUpdateMessage",
        "editedMessage",
        "secretEncryptedMessage",
        "encCommentMessage",
        "encEventResponseMessage",
        "protocolMessage",
    )
)

# Keys beside or instead of content that say nothing to a person.
NOISE = frozenset(
    (
        "senderKeyDistributionMessage",
        "fastRatchetKeySenderKeyDistributionMessage",
        "messageContextInfo",
        "contextInfo",
        "call",
        "chat",
        "stickerSyncRmrMessage",
        "messageHistoryBundle",
        "messageHistoryNotice",
    )
)

VIEW_ONCE = frozenset(("viewOnceMessage", "viewOnceMessageV2", "viewOnceMessageV2Extension"))

__all__ = [
    "CHANGES",
    "EMPTY_KIND",
    "FILE_ITSELF",
    "KINDS",
    "NOISE",
    "UNKNOWN_KIND",
    "VIEW_ONCE",
    "Kind",
]
