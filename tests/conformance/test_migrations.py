"""A store that an earlier version wrote opens with everything that is in it (P9)."""

import json
from contextlib import closing
from pathlib import Path

import apsw

from evorelay.model.change import Status
from evorelay.storage.open import open_storage
from evorelay.storage.ports import TicketQuery
from evorelay.storage.sqlite.schema import MIGRATIONS

OLD = """
    INSERT INTO instances VALUES ('loja', 'open', 1, NULL, '5511', 'Loja', 2, 1);
    INSERT INTO contacts VALUES
        ('c1', 'loja', 'Ana', '5531988887777', '5531988887777@s.whatsapp.net', NULL, NULL, 0, 1),
        ('c2', 'loja', '5215512345678', '5215512345678', '5215512345678@s.whatsapp.net', NULL,
            NULL, 0, 1);
    INSERT INTO aliases VALUES ('loja', 'phone:553188887777', 'c1'),
        ('loja', 'phone:5215512345678', 'c2');
    INSERT INTO tickets VALUES
        ('t1', 'loja', 'c1', 'open', 'maria', NULL, 1, 40, 'tchau', 1, NULL, 3);
    INSERT INTO messages VALUES
        (1, 'm1', 't1', 'loja', 'in', 'client', NULL, 'Ana', 'text', 'olá, preciso de um orçamento',
            'received', 0, 10, 11, 'W1', NULL, '[]', NULL, NULL, NULL, NULL, '{}', 1),
        (2, 'm2', 't1', 'loja', 'out', 'agent', NULL, NULL, 'text', 'já vai', 'sent', 0, 20, 21,
            'W2', NULL, '[]', NULL, NULL, NULL, NULL, '{"origin":"phone"}', 2),
        (3, 'm3', 't1', 'loja', 'in', 'client', NULL, 'Ana', 'image', 'tchau', 'received', 0, 40,
            41, 'W3', 'W1', '[]', NULL, NULL, '{"id":"ab","url":"/media/ab"}', NULL, '{}', 3);
    INSERT INTO early_statuses VALUES ('loja', 'W9', 'read', 5);
    INSERT INTO quarantine VALUES ('q1', 4, 50, 'x', 'loja', 'unknown_event', 'd', '{}', 'dig');
    INSERT INTO cursors VALUES ('j', 4);
    INSERT INTO meta VALUES ('epoch', 'abc');
"""


def test_a_store_of_the_first_schema_keeps_everything(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    with closing(apsw.Connection(str(state / "store.db"))) as db:
        db.execute(MIGRATIONS[0])
        db.execute(OLD)
        db.pragma("user_version", 1)
    with open_storage(state, None) as storage:
        reader = storage.readers[0]
        found = reader.ticket("t1")
        assert found is not None
        ticket, contact = found
        assert (contact.name, contact.name_rank, contact.merged_into) == ("Ana", 2, None)
        assert (ticket.inbound, ticket.unread, ticket.last_message_id) == (2, 1, "m3")
        assert (ticket.last_reply_at, ticket.last_inbound_at, ticket.waiting_since) == (20, 40, 40)
        rows = reader.messages("t1", before=None, after=None, limit=9)
        assert rows is not None
        assert [(row.whatsapp_id, row.contact_id, row.edits) for row in rows] == [
            ("W1", "c1", []),
            ("W2", "c1", []),
            ("W3", "c1", []),
        ]
        assert rows[2].media == json.loads('{"id":"ab","url":"/media/ab"}')
        assert [row[0].id for row in reader.tickets(TicketQuery(q="orcamento"))] == ["t1"]
        with_mexico = storage.writer.transact(
            lambda tx: (
                tx.contacts_by_alias([("loja", "phone:525512345678")]),
                tx.early_changes([("loja", "W9")]),
                tx.cursor("j"),
            )
        )
        people, early, cursor = with_mexico
        assert [row.name_rank for row in people.values()] == [0]
        assert (early, cursor) == ({("loja", "W9"): [Status("read")]}, 4)
        assert [row.replayed_at for row in reader.quarantine(before=None, limit=9)] == [None]
        assert reader.epoch() == "abc"
