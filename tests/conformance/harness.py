"""One suite over every storage driver: how to open each, again and again on the same data."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest

from evorelay.model.envelope import Envelope
from evorelay.model.records import (
    AliasRecord,
    ContactRecord,
    EventRecord,
    MergeRecord,
    MessageRecord,
    TicketRecord,
)
from evorelay.storage.ports import (
    JournalStore,
    Maintenance,
    Plan,
    StoreReader,
    StoreWriter,
    Transaction,
)
from evorelay.storage.sqlite.journal import SqliteJournal
from evorelay.storage.sqlite.reader import SqliteReader
from evorelay.storage.sqlite.store import SqliteStore

T0 = 1_795_000_000_000


class Writer(StoreWriter, Maintenance, Protocol):
    """A store's writing side: drivers implement both ports in one object."""


class Driver(Protocol):
    """Opens what a driver offers. Opening anew finds the same data, as after a restart."""

    def journal(self) -> AbstractContextManager[JournalStore]: ...

    def writer(self) -> AbstractContextManager[Writer]: ...

    def reader(self) -> AbstractContextManager[StoreReader]: ...


class Sqlite:
    def __init__(self, directory: Path) -> None:
        self.journal_path = directory / "journal.db"
        self.store_path = directory / "store.db"

    def journal(self) -> AbstractContextManager[JournalStore]:
        return closing(SqliteJournal(self.journal_path))

    def writer(self) -> AbstractContextManager[Writer]:
        return closing(SqliteStore(self.store_path))

    def reader(self) -> AbstractContextManager[StoreReader]:
        return closing(SqliteReader(self.store_path))


DRIVERS: dict[str, Callable[[Path], Driver]] = {"sqlite": Sqlite}

every_driver = pytest.mark.parametrize("driver", DRIVERS, indirect=True)


class Store:
    """A writer, a reader beside it, and short ways to say what a test stores."""

    def __init__(self, writer: Writer, reader: StoreReader) -> None:
        self.writer = writer
        self.reader = reader

    def write(self, **fields: Any) -> None:
        plan = Plan(**fields)
        self.writer.transact(lambda tx: tx.write(plan))

    def look(self, work: Callable[[Transaction], Any]) -> Any:
        return self.writer.transact(work)

    def merge(self, *merges: MergeRecord) -> None:
        for merge in merges:
            self.writer.transact(lambda tx: tx.merge(merge))  # noqa: B023 -- it is called at once

    def person(self, id_: str = "c1", *, ticket: str | None = "t1", **fields: Any) -> None:
        """A contact, and unless told otherwise its open ticket."""
        self.write(
            new_contacts=[contact(id_, **fields)],
            new_tickets=[make_ticket(ticket, contact_id=id_)] if ticket else [],
        )


@contextmanager
def opened(driver: Driver) -> Iterator[Store]:
    with driver.writer() as writer, driver.reader() as reader:
        yield Store(writer, reader)


def envelope(body: bytes = b"{}", **fields: Any) -> Envelope:
    defaults: dict[str, Any] = {"received_at": T0, "event": "messages.upsert", "instance": "loja"}
    return Envelope(**{**defaults, **fields}, body=body)


def contact(id_: str = "c1", **fields: Any) -> ContactRecord:
    defaults: dict[str, Any] = {
        "instance": "loja",
        "name": "Ana",
        "phone": "5531988887777",
        "jid": "5531988887777@s.whatsapp.net",
        "lid": None,
        "avatar_url": None,
        "is_group": False,
        "created_at": T0,
    }
    return ContactRecord(id=id_, **{**defaults, **fields})


def alias(name: str, contact_id: str = "c1") -> AliasRecord:
    return AliasRecord(instance="loja", alias=name, contact_id=contact_id)


def make_ticket(id_: str = "t1", **fields: Any) -> TicketRecord:
    defaults: dict[str, Any] = {
        "instance": "loja",
        "contact_id": "c1",
        "status": "open",
        "assignee": None,
        "subject": None,
        "unread": 0,
        "last_message_at": None,
        "last_message": None,
        "created_at": T0,
        "closed_at": None,
        "version": 1,
    }
    return TicketRecord(id=id_, **{**defaults, **fields})


def make_message(id_: str = "m1", **fields: Any) -> MessageRecord:
    defaults: dict[str, Any] = {
        "ticket_id": "t1",
        "contact_id": "c1",
        "instance": "loja",
        "direction": "in",
        "sender": "client",
        "sender_id": None,
        "sender_name": None,
        "type": "text",
        "content": "oi",
        "status": "received",
        "is_internal": False,
        "created_at": T0,
        "received_at": T0,
        "whatsapp_id": "W-" + id_,
        "reply_to": None,
        "reactions": [],
        "edited_at": None,
        "deleted_at": None,
        "media": None,
        "error": None,
        "metadata": {},
        "journal_seq": None,
    }
    return MessageRecord(id=id_, **{**defaults, **fields})


def event(*positions: tuple[str, int], at: int = T0, data: str = "{}") -> EventRecord:
    return EventRecord(at=at, type="message.created", data=data, positions=list(positions))


def make_merge(id_: str = "x1", **fields: Any) -> MergeRecord:
    """``c2`` turned out to be ``c1``."""
    defaults: dict[str, Any] = {
        "instance": "loja",
        "at": T0,
        "kept_contact": "c1",
        "absorbed_contact": "c2",
        "kept_ticket": None,
        "absorbed_ticket": None,
        "absorbed_status": None,
        "aliases": [],
        "tickets": [],
        "undone_at": None,
    }
    return MergeRecord(id=id_, **{**defaults, **fields})
