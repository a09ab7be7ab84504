"""What a path alone cannot read: prices, dates, contact cards, filled-in forms.

Each takes whatever JSON stands there and answers with a text, with something for the metadata
that is bounded already, or with None.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from evorelay.protocol.normalise.calls import call_log_label
from evorelay.protocol.normalise.kinds.vcard import cards_of, names_of
from evorelay.protocol.normalise.media import filename_of
from evorelay.protocol.normalise.values import (
    SMALL_ITEMS_MAX,
    Path,
    count_of,
    dig,
    flag_of,
    integer_of,
    short_text,
    text_of,
    timestamp_of,
)

_FORM_LINES_MAX = 40
_FORM_TEXT_MAX = 1000
_TECHNICAL = frozenset(("flow_token", "id", "selectedIndex", "title", "description", "wa_flow"))
"""Keys of a form or a choice that nobody filled in."""
_SCREEN = "screen_"
_NUMBERED = re.compile(r"^[0-9]{1,3}_(?=.)")
"""Meta's forms number their fields, and what there is to choose: ``0_Manhã``."""
_UNPINNED = (2, "UNPIN_FOR_ALL", "2")
_NOT_KEPT = (2, "UNDO_KEEP_FOR_ALL", "2")


def _goods(value: Any) -> str | None:
    """``[Produto] Vestido, R$ 99,90``, or the whole ``[Catálogo] Loja``."""
    product = dig(value, ("product",))
    title = short_text(dig(product, ("title",)))
    if title is None and (catalog := short_text(dig(value, ("catalog", "title")))):
        return f"[Catálogo] {catalog}"
    price = _money(dig(product, ("priceAmount1000",)), dig(product, ("currencyCode",)))
    return " ".join(filter(None, ("[Produto]", ", ".join(filter(None, (title, price))))))


def _total(value: Any) -> str | None:
    """An order's or a payment's."""
    if not isinstance(value, dict):
        return None
    return _money(
        value.get("totalAmount1000") or value.get("amount1000"),
        value.get("totalCurrencyCode") or value.get("currencyCodeIso4217"),
    )


def _money(thousandths: Any, currency: Any) -> str | None:
    amount = count_of(thousandths)
    code = short_text(currency, 8)
    if not amount or not code:
        return None
    whole, rest = divmod(amount // 10, 100)
    return f"{'R$' if code == 'BRL' else code} {whole:,}".replace(",", ".") + f",{rest:02}"


def _quantity(value: Any) -> str | None:
    items = count_of(value)
    return None if not items else f"{items} {'item' if items == 1 else 'itens'}"


def _album(value: Any) -> str | None:
    """``3 fotos, 1 vídeo``"""
    if not isinstance(value, dict):
        return None
    counts = (
        (count_of(value.get("expectedImageCount")), "foto"),
        (count_of(value.get("expectedVideoCount")), "vídeo"),
    )
    return ", ".join(f"{n} {word}{'' if n == 1 else 's'}" for n, word in counts if n) or None


def _date(value: Any) -> str | None:
    """In UTC and saying so: whose clock the sender meant is not in the webhook."""
    moment = timestamp_of(value)
    try:
        when = None if moment is None else datetime.fromtimestamp(moment / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return None if when is None else when.strftime("%d/%m/%Y %H:%M UTC")


def _canceled(value: Any) -> str | None:
    return "Cancelado" if flag_of(value) else None


def _form(value: Any) -> str | None:
    """What was filled in, a line each; None where there was only something to choose."""
    if not isinstance(value, dict):
        return None
    lines = []
    for key, said in list(value.items())[:_FORM_LINES_MAX]:
        options = said[:SMALL_ITEMS_MAX] if isinstance(said, list) else [said]
        texts = (text_of(option) for option in options)
        if key.startswith(_SCREEN):
            texts = (text and _NUMBERED.sub("", text) for text in texts)
        text = ", ".join(filter(None, texts))
        if text and key not in _TECHNICAL:
            lines.append(f"{_question(key)}: {text[:_FORM_TEXT_MAX]}")
    return "\n".join(lines) or None


def _question(key: str) -> str:
    """``screen_0_Nome_completo_1`` -> ``Nome completo``: how Meta's forms name their fields."""
    words = key[:_FORM_TEXT_MAX].split("_")
    if words[0].lower() == "screen" and len(words) > 2:
        words = words[2:]
    if len(words) > 1 and words[-1].isdigit():
        words = words[:-1]
    return short_text(" ".join(words)) or "?"


def _pix(value: Any) -> str | None:
    """A Pix key among the buttons of an interactive message: ``Pix: Loja, loja@example.com``."""
    settings = dig(value, ("*", "buttonParamsJson", "{}", "payment_settings", "*"))
    for setting in settings or ():
        key = short_text(dig(setting, ("pix_static_code", "key")), 200)
        if key:
            name = short_text(dig(setting, ("pix_static_code", "merchant_name")), 200)
            return "Pix: " + ", ".join(filter(None, (name, key)))
    return None


_BUTTON_WORDS: tuple[Path, ...] = (
    ("displayText",),
    ("buttonText", "displayText"),
    ("quickReplyButton", "displayText"),
    ("urlButton", "displayText"),
    ("callButton", "displayText"),
    ("buttonParamsJson", "{}", "display_text"),
    ("buttonParamsJson", "{}", "title"),
    ("reply", "title"),
)


def _buttons(value: Any) -> list[str] | None:
    """What stands on the buttons, however each of them is made."""
    if not isinstance(value, list):
        return None
    found = (
        next((text for path in _BUTTON_WORDS if (text := short_text(dig(item, path), 200))), None)
        for item in value[:SMALL_ITEMS_MAX]
    )
    return [text for text in found if text] or None


def _rows(value: Any) -> list[str] | None:
    """The choices of a list in a native flow."""
    path = ("*", "buttonParamsJson", "{}", "sections", "*", "rows", "*", "title")
    found = (short_text(title, 200) for title in dig(value, path) or ())
    return [text for text in found if text] or None


def _paragraphs(value: Any) -> str | None:
    found = dig(value, ("*", "messageText")) or ()
    return "\n".join(filter(None, map(text_of, found))) or None


def _gif(value: Any) -> str | None:
    return "[GIF]" if flag_of(value) else None


def _yes(value: Any) -> bool:
    """Marks every message of a kind."""
    return True


def _pinned(value: Any) -> str | None:
    return "[Mensagem desafixada]" if value in _UNPINNED else None


def _kept(value: Any) -> str | None:
    return "[Mensagem não mais mantida]" if value in _NOT_KEPT else None


def _tally(value: Any) -> list[str] | None:
    """The result of a poll: ``Manhã: 3``."""
    if not isinstance(value, list):
        return None
    return [
        f"{name}: {integer_of(dig(option, ('optionVoteCount',))) or 0}"
        for option in value[:SMALL_ITEMS_MAX]
        if (name := short_text(dig(option, ("optionName",)), 200))
    ]


READERS: Mapping[str, Callable[[Any], Any]] = {
    "album": _album,
    "call": call_log_label,
    "buttons": _buttons,
    "canceled": _canceled,
    "cards": cards_of,
    "date": _date,
    "filename": filename_of,
    "form": _form,
    "gif": _gif,
    "goods": _goods,
    "kept": _kept,
    "names": names_of,
    "paragraphs": _paragraphs,
    "pinned": _pinned,
    "pix": _pix,
    "quantity": _quantity,
    "rows": _rows,
    "tally": _tally,
    "total": _total,
    "yes": _yes,
}
