"""Opens the stores a configuration names. The only module that knows which drivers there are."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from evorelay.model.errors import ConfigError, RelayError, StoreInUse
from evorelay.storage.ports import JournalStore, Maintenance, StoreReader, StoreWriter
from evorelay.storage.ports.backup import BackupStore
from evorelay.storage.ports.checking import JournalCheck, Names, StoreCheck
from evorelay.storage.sqlite.backup import SqliteBackupStore
from evorelay.storage.sqlite.connection import DamagedFile, exclusive, file_faults, version
from evorelay.storage.sqlite.fsck import SqliteNames, opened, repair
from evorelay.storage.sqlite.journal import SqliteJournal
from evorelay.storage.sqlite.reader import SqliteReader
from evorelay.storage.sqlite.store import SqliteStore

_NEW_JOURNAL = "tickets stay, webhooks that were not handled yet are lost"
_NEW_STORE = "it is filled again from what the journal still holds, older tickets are lost"
READERS = 2
"""Threads that read at once. On 1-2 cores more of them only take turns."""


class Storage(Struct, frozen=True):
    journal: JournalStore
    writer: StoreWriter
    maintenance: Maintenance
    readers: tuple[StoreReader, ...]
    backup: BackupStore
    directory: Path
    """Where the journal grows: the disk whose free space matters."""
    store_path: Path

    def sizes(self) -> dict[str, int]:
        """Bytes of each database file and of the log in front of it (``…_wal``). Blocks."""
        return {
            name + suffix.replace("-", "_"): _size(path.with_name(path.name + suffix))
            for name, path in (
                ("journal", self.directory / "journal.db"),
                ("store", self.store_path),
            )
            for suffix in ("", "-wal")
        }


@contextmanager
def open_storage(state_dir: Path, url: str | None) -> Iterator[Storage]:
    """Open journal and store for this process alone, migrating the store if it is older.

    Raises ``StoreInUse`` when another process holds them, ``StoreUnavailable`` and
    ``RelayError`` with one line that says what is wrong.
    """
    store_path = _store_path(state_dir, url)
    with ExitStack() as stack:
        _hold(stack, state_dir, store_path)
        with _price_of_a_new_one(_NEW_JOURNAL):
            journal = stack.enter_context(closing(SqliteJournal(state_dir / "journal.db")))
        with _price_of_a_new_one(_NEW_STORE):
            store = stack.enter_context(closing(SqliteStore(store_path)))
            readers = tuple(
                stack.enter_context(closing(SqliteReader(store_path))) for _ in range(READERS)
            )
        yield Storage(
            journal, store, store, readers, SqliteBackupStore(store_path), state_dir, store_path
        )


def backup_store(state_dir: Path, url: str | None) -> BackupStore:
    """The store from the side, for what works beside a daemon and without one."""
    return SqliteBackupStore(_store_path(state_dir, url))


@contextmanager
def store_for_restore(state_dir: Path, url: str | None) -> Iterator[BackupStore]:
    """The store for this process alone; it need not be there yet. Raises ``StoreInUse``."""
    store_path = _store_path(state_dir, url)
    with ExitStack() as stack:
        _hold(stack, state_dir, store_path)
        yield SqliteBackupStore(store_path)


def _hold(stack: ExitStack, state_dir: Path, store_path: Path) -> None:
    """Make the directories, and keep every other process out of them."""
    with file_faults():
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        store_path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    stack.enter_context(exclusive(state_dir / "evorelay.lock"))
    if store_path.parent != state_dir:
        stack.enter_context(exclusive(store_path.with_name(store_path.name + ".lock")))


def require_store(state_dir: Path, url: str | None) -> Path:
    """Where the store is. Raises ``ConfigError`` where there is none yet, and makes none."""
    store_path = _store_path(state_dir, url)
    if not store_path.is_file():
        raise ConfigError(f"there is no {store_path}; is state_dir the daemon's?")
    return store_path


@contextmanager
def open_for_reading(state_dir: Path, url: str | None) -> Iterator[StoreReader]:
    """The store beside the daemon that serves it, or without one. Raises ``RelayError``."""
    with closing(SqliteReader(require_store(state_dir, url))) as reader:
        if problem := reader.schema_problem():
            raise RelayError(problem)
        yield reader


@contextmanager
def open_checks(state_dir: Path, url: str | None) -> Iterator[tuple[StoreCheck, JournalCheck]]:
    """Store and journal for ``evorelay fsck``, read only, beside a daemon or without."""
    with opened(_store_path(state_dir, url), state_dir / "journal.db") as checks:
        yield checks


@contextmanager
def open_names() -> Iterator[Names]:
    """An empty set of blob names, which is gone afterwards."""
    with closing(SqliteNames()) as names:
        yield names


@contextmanager
def open_repair(state_dir: Path, url: str | None) -> Iterator[Callable[[set[str]], list[str]]]:
    """What mends a store, which nobody else may use meanwhile. Raises ``StoreInUse``."""
    store_path = _store_path(state_dir, url)
    with ExitStack() as stack:
        _hold(stack, state_dir, store_path)
        yield partial(repair, store_path)


def is_in_use(state_dir: Path) -> bool:
    """Whether a daemon, or a command like it, holds this state directory now."""
    if not state_dir.is_dir():
        return False
    try:
        with exclusive(state_dir / "evorelay.lock"):
            return False
    except StoreInUse:
        return True


@contextmanager
def _price_of_a_new_one(price: str) -> Iterator[None]:
    """Complete what is said about a damaged file by what beginning a new one costs."""
    try:
        yield
    except DamagedFile as error:
        raise RelayError(f"{error}; a new one is begun then: {price}") from error


def sqlite_version() -> str:
    """The version of the SQLite that comes with the driver, whatever the system has."""
    return version()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _store_path(state_dir: Path, url: str | None) -> Path:
    """``sqlite:///var/lib/x.db`` is the absolute path after the two slashes, as in any URL."""
    if url is None:
        return state_dir / "store.db"
    return Path("/" + unquote(urlsplit(url).path).lstrip("/"))
