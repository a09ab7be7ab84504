"""What a message says about others: the one it quotes, whom it mentions, the ad it came from.

It is in ``contextInfo``, which stands beside the message (2.x), in it (Cloud API) or in the content
(1.8, wrapped). The EVOLUTION channel has the quoted message's key in ``quoted`` instead.
"""

from typing import Any

from evorelay.protocol.normalise.content import Content
from evorelay.protocol.normalise.identity import parse_jid
from evorelay.protocol.normalise.values import Path, dig, small_of, whatsapp_id
from evorelay.protocol.normalise.words import preview

_CONTEXT: dict[str, Path] = {
    "forwarded": ("isForwarded",),
    "forwarding_score": ("forwardingScore",),
    "mentioned": ("mentionedJid",),
    "ad_title": ("externalAdReply", "title"),
    "ad_body": ("externalAdReply", "body"),
    "ad_url": ("externalAdReply", "sourceUrl"),
    "ad_id": ("externalAdReply", "sourceId"),
    "ad_click_id": ("externalAdReply", "ctwaClid"),
    "ad_source": ("conversionSource",),
}
_NOT_SAID = (None, False, 0, "")
_ALBUM = (1, "1", "MEDIA_ALBUM", None)
_STATUS_POSTS = "status@broadcast"


def read_context(
    metadata: dict[str, Any],
    row: dict[str, Any],
    content: Content | None,
    message: dict[str, Any],
) -> str | None:
    """Add what the context says to the metadata; return the id of the quoted message."""
    quoted_id = None
    for place in _places(row, content, message):
        context = place.get("contextInfo")
        if not isinstance(context, dict):
            continue
        quoted_id = quoted_id or whatsapp_id(context.get("stanzaId"))
        for name, path in _CONTEXT.items():
            if path[0] in context:
                value = small_of(dig(context, path))
                if value not in _NOT_SAID:
                    metadata.setdefault(name, value)
        if "quotedMessage" in context and "quoted" not in metadata:
            quoted = preview(context["quotedMessage"])
            if quoted:
                author = parse_jid(context.get("participant"))
                if author and author.domain in ("s.whatsapp.net", "lid"):
                    quoted["sender_id"] = str(author)
                metadata["quoted"] = quoted
                if context.get("remoteJid") == _STATUS_POSTS:
                    metadata["quoted_status_post"] = True
    return quoted_id or _quoted_key(message)


def read_association(metadata: dict[str, Any], message: dict[str, Any]) -> None:
    """Name the album that a picture belongs to: its message's id."""
    info = message.get("messageContextInfo")
    association = info.get("messageAssociation") if isinstance(info, dict) else None
    if isinstance(association, dict) and association.get("associationType") in _ALBUM:
        album = whatsapp_id(dig(association, ("parentMessageKey", "id")))
        if album:
            metadata["album"] = album


def _places(
    row: dict[str, Any], content: Content | None, message: dict[str, Any]
) -> list[dict[str, Any]]:
    places = [row, message]
    if content:
        places += [content.message, content.value]
    return [place for place in places if isinstance(place, dict) and "contextInfo" in place]


def _quoted_key(message: dict[str, Any]) -> str | None:
    quoted = message.get("quoted")
    if not isinstance(quoted, dict):
        return None
    key = quoted.get("key")
    return whatsapp_id((key if isinstance(key, dict) else quoted).get("id"))
