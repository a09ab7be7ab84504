"""What every reader promises of ``q``: it finds what a person means, whatever a person types."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evorelay.storage.ports import TicketQuery
from tests.conformance.harness import (
    DRIVERS,
    T0,
    Driver,
    Store,
    contact,
    every_driver,
    make_message,
    make_ticket,
    opened,
)


@pytest.fixture
def store(driver: Driver) -> Iterator[Store]:
    with opened(driver) as store:
        fill(store)
        yield store


def fill(store: Store) -> None:
    """Three tickets of two instances; the higher the number, the more recent."""
    people = [
        ("c1", "José Conceição", "5511987654321", "loja"),
        ("c2", "Bia", "5521912345678", "loja"),
        ("c3", "Caio", "447911123456", "filial"),
    ]
    said = [
        ("c1", "Bom dia! Quero um orçamento do sofá azul."),
        ("c1", "Meu e-mail é ana.maria@exemplo.com.br"),
        ("c2", "bom dia, o pedido 48213-7 não chegou 😀"),
        ("c2", "A entrega é na Rua São João, NEAR the station"),
        ("c3", "orcamento aprovado"),
        ("c3", "Привет, дорогой 東京"),
    ]
    for number, (id_, name, phone, instance) in enumerate(people, 1):
        store.write(
            new_contacts=[contact(id_, name=name, phone=phone, instance=instance)],
            new_tickets=[
                make_ticket(
                    f"t{number}",
                    contact_id=id_,
                    instance=instance,
                    subject="Devolução" if number == 2 else None,
                    last_message_at=T0 + number,
                )
            ],
        )
    store.write(
        new_messages=[
            make_message(
                f"m{number}",
                contact_id=id_,
                ticket_id="t" + id_[1],
                instance="filial" if id_ == "c3" else "loja",
                content=content,
            )
            for number, (id_, content) in enumerate(said)
        ]
    )


def found(store: Store, q: str, **filters: Any) -> str:
    rows = store.reader.tickets(TicketQuery(q=q, **filters))
    return "".join(ticket.id[1:] for ticket, _ in rows)


@every_driver
@pytest.mark.parametrize(
    ("q", "tickets"),
    [
        ("orçamento", "31"),
        ("ORCAMENTO", "31"),
        ("orçam", "31"),
        ("orçamento azul", "1"),
        ("azul orcamento", "1"),
        ("orçamento rosa", ""),
        ("sofa", "1"),
        ("bom d", "21"),
        ("dia bo", "21"),
        ("bo dia", ""),
        ("e-mail", "1"),
        ("ana.maria@exemplo.com.br", "1"),
        ("48213-7", "2"),
        ("48213", "2"),
        ("привет", "3"),
        ("東京", "3"),
        ("jose", "1"),
        ("conceicao", "1"),
        ("JOSÉ CONC", "1"),
        ("devolucao", "2"),
        ("+55 (11) 98765-4321", "1"),
        ("11 98765\u20114321", "1"),
        ("\u202a+55\u00a011\u00a098765-4321\u202c", "1"),
        ("1187654321", "1"),
        ("nada disso", ""),
    ],
)
def test_a_ticket_is_found_as_people_look_for_it(store: Store, q: str, tickets: str) -> None:
    """By name, phone, subject or what was said, with or without accents, in any order."""
    assert found(store, q) == tickets


@every_driver
@pytest.mark.parametrize(
    "q",
    [
        '"',
        '""',
        '"""',
        'bom" OR "entrega',
        '" OR rowid > 0 OR "',
        "bom AND",
        "OR",
        "NOT bom",
        "NEAR(bom dia, 2)",
        "bom NEAR/2 dia",
        "content:bom",
        "{content} : bom",
        "^bom",
        "-bom",
        "bom + dia",
        "*",
        "***",
        "bom**",
        "(",
        ")))((",
        "%",
        "\\",
        "_",
        "'; DROP TABLE messages; --",
        "\0",
        "bom\0dia",
        '"\0"',
        "\n\t\r",
        "👩‍👩‍👧‍👦",
        "\u202e\u200b",
        "\u0301\u0301",
        '"*(^:{}+-' * 22,
        "a " * 100,
        "x" * 200,
    ],
)
def test_whatever_is_typed_is_looked_for_and_nothing_else(store: Store, q: str) -> None:
    """No operator, no error: what cannot be a word is not one."""
    assert set(found(store, q)) <= set("123")
    assert found(store, "orçamento rosa " + q) == ""


@every_driver
@pytest.mark.parametrize(
    ("q", "tickets"),
    [('bom" OR "entrega', ""), ("NOT bom", ""), ("NEAR", "2"), ("content:bom", "")],
)
def test_an_operator_is_a_word_like_any_other(store: Store, q: str, tickets: str) -> None:
    assert found(store, q) == tickets


@pytest.mark.parametrize("driver_name", DRIVERS)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(qs=st.lists(st.text(max_size=200), min_size=1, max_size=20))
def test_no_text_is_an_error(
    driver_name: str, tmp_path_factory: pytest.TempPathFactory, qs: list[str]
) -> None:
    driver = DRIVERS[driver_name](tmp_path_factory.mktemp("store"))
    with opened(driver) as store:
        fill(store)
        for q in qs:
            assert set(found(store, q)) <= set("123")


@every_driver
def test_blank_text_asks_for_nothing(store: Store) -> None:
    assert found(store, " ") == found(store, "") == found(store, "\0") == "321"


@every_driver
def test_search_stays_within_the_callers_instances(store: Store) -> None:
    """P7: another instance's messages and people neither show nor stand in the way."""
    assert found(store, "orçamento", instances=("loja",)) == "1"
    assert found(store, "aprovado", instances=("loja",)) == ""
    assert found(store, "caio", instances=("loja", "matriz")) == ""
    assert found(store, "caio", instances=("filial",)) == "3"
    assert found(store, "bom", instances=()) == ""


@every_driver
def test_search_joins_with_other_filters_and_pages(store: Store) -> None:
    store.write(changed_tickets=[make_ticket("t1", status="closed", last_message_at=T0 + 1)])
    assert found(store, "bom dia", status="open") == "2"
    query = TicketQuery(q="orcamento", limit=1)
    pages = []
    while rows := store.reader.tickets(query):
        pages += [ticket.id for ticket, _ in rows]
        query = msgspec.structs.replace(query, after=query.place(rows[-1][0]))
    assert pages == ["t3", "t1"]


@every_driver
def test_what_was_deleted_or_edited_is_not_found_any_more(store: Store) -> None:
    """Also after an undone deletion would have had it back: the index follows the row."""
    row = make_message("m4", contact_id="c3", ticket_id="t3", instance="filial")
    row.content = "orcamento aprovado"
    store.write(changed_messages=[msgspec.structs.replace(row, deleted_at=T0)])
    assert found(store, "aprovado") == ""
    store.write(changed_messages=[msgspec.structs.replace(row, content="recusado")])
    assert (found(store, "aprovado"), found(store, "recusado")) == ("", "3")
    store.write(changed_messages=[msgspec.structs.replace(row, content="recusado", status="read")])
    assert found(store, "recusado") == "3"


@every_driver
def test_notes_among_agents_are_found_too(store: Store) -> None:
    store.write(
        new_messages=[
            make_message(
                "note",
                ticket_id="t2",
                contact_id="c2",
                is_internal=True,
                direction="out",
                sender="agent",
                content="cliente difícil",
            )
        ]
    )
    assert found(store, "dificil") == "2"


@every_driver
def test_history_without_a_ticket_is_found_once_it_has_one(store: Store) -> None:
    store.write(new_messages=[make_message("old", ticket_id=None, content="antigamente")])
    assert found(store, "antigamente") == ""
    store.write(adopted=[("c1", "t1")])
    assert found(store, "antigamente") == "1"
