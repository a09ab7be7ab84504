"""What a second webhook about a message adds, whichever of the two came first (P2)."""

from itertools import permutations
from typing import Any

import pytest

from evorelay.model.change import Edit
from evorelay.model.records import MessageRecord
from evorelay.protocol.changes import apply_change
from evorelay.protocol.duplicates import absorb, rewrite
from evorelay.protocol.normalise.calls import call_label
from evorelay.protocol.normalise.kinds import EMPTY_KIND
from tests.unit.test_changes import T0, row


def after(*rows: MessageRecord) -> tuple[Any, ...]:
    first, *others = rows
    for other in others:
        absorb(first, other)
    return first.type, first.content, first.media, first.metadata, first.sender_name


def empty(**fields: Any) -> MessageRecord:
    return row(type="unsupported", content=EMPTY_KIND.label, **fields)


def test_a_message_that_came_empty_is_replaced_when_it_comes_whole() -> None:
    whole = {"type": "image", "content": "foto", "media": {"id": "ab"}, "sender_name": "Ana"}
    orders = [after(*order) for order in permutations((empty(), row(**whole), empty()))]
    assert all(order == ("image", "foto", {"id": "ab"}, {}, "Ana") for order in orders)


def test_nothing_is_news_when_it_says_the_same() -> None:
    assert not absorb(row(), row())
    assert not absorb(row(), empty())


def test_an_edit_that_came_first_shows_on_what_replaces_the_empty_message() -> None:
    message = empty()
    apply_change(message, Edit(content="editado", at=T0 + 1, seen_at=T0))
    assert absorb(message, row(content="original"))
    assert (message.type, message.content) == ("text", "editado")


def test_the_echo_of_the_api_says_where_a_message_came_from() -> None:
    phone, api = row(metadata={"origin": "phone"}), row(metadata={"origin": "api"})
    for order in permutations((phone, api)):
        copies = [row(metadata=dict(one.metadata)) for one in order]
        assert after(*copies)[3] == {"origin": "api"}


def test_a_file_that_came_with_one_delivery_is_kept() -> None:
    bare: dict[str, Any] = {"id": None, "mimetype": "image/png", "size": None}
    full: dict[str, Any] = {"id": "ab", "mimetype": "image/png", "size": 7}
    for order in permutations((bare, full)):
        rows = [row(type="image", media=dict(media)) for media in order]
        assert after(*rows)[2] == full


@pytest.mark.parametrize("order", list(permutations(("offer", "ringing", "accept", "terminate"))))
def test_a_call_says_how_it_ended(order: tuple[str, ...]) -> None:
    rows = [
        row(
            type="call",
            content=call_label(state, video=True),
            metadata={"call": state, "video": True},
        )
        for state in order
    ]
    assert after(*rows)[1] == call_label("accept", video=True)


def test_a_better_reading_rewrites_what_a_message_says_and_nothing_else() -> None:
    known = row(
        type="unsupported",
        content="[Mensagem não suportada]",
        metadata={"origin": "phone", "late": True, "whatsapp_type": "xMessage"},
        status="read",
    )
    better = row(type="poll", content="[Enquete] Sim?", metadata={"question": "Sim?"})
    assert rewrite(known, better)
    assert (known.type, known.content, known.status) == ("poll", "[Enquete] Sim?", "read")
    assert known.metadata == {"question": "Sim?", "origin": "phone", "late": True}
    assert not rewrite(known, better)


def test_a_reading_that_knows_less_rewrites_nothing() -> None:
    known = row(content="oi")
    assert not rewrite(known, empty())
    assert known.content == "oi"


def test_what_one_delivery_alone_knows_is_kept() -> None:
    bare = row(type="audio", content="[Áudio]", metadata={"view_once": True})
    heard = row(type="audio", content="[Áudio]", metadata={"transcription": "oi"})
    for order in permutations((bare, heard)):
        rows = [row(type="audio", content="[Áudio]", metadata=dict(one.metadata)) for one in order]
        assert after(*rows)[3] == {"transcription": "oi", "view_once": True}


def test_reading_a_call_again_does_not_take_it_back() -> None:
    known = row(type="call", content=call_label("accept", video=False), metadata={"call": "accept"})
    offer = row(type="call", content=call_label("offer", video=False), metadata={"call": "offer"})
    assert not rewrite(known, offer)


def test_an_import_does_not_make_history_of_a_live_message() -> None:
    live = empty()
    imported = row(content="inteira", metadata={"history": True, "unconfirmed": True})
    assert absorb(live, imported)
    assert (live.content, live.metadata) == ("inteira", {})


def test_how_a_row_came_to_be_here_stays_its_own() -> None:
    """A late webhook of a recovered message adds nothing, nor does recovering one that is here."""
    recovered, live = row(metadata={"recovered": True}), row()
    assert not absorb(recovered, live)
    assert not absorb(live, row(metadata={"recovered": True}))
    assert (recovered.metadata, live.metadata) == ({"recovered": True}, {})
