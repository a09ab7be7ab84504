"""What a backup says of itself: the manifest, and what is wrong with one that is not whole."""

from datetime import datetime

from msgspec import Struct

from evorelay.model.errors import RelayError

FORMAT = 1
"""Of backups. Raise it when an older EvoRelay could not restore one; older ones stay readable."""


class BackupFailed(RelayError):
    """No backup was made, and nothing is left of the attempt. One line that says what to do."""


class BackupRunning(BackupFailed):
    """Another process, or another task of this one, is at work in the same directory."""


class UnknownBackup(RelayError):
    """There is no backup of this name, or none at all."""


class DamagedBackup(RelayError):
    """A backup is not what was written. One line that says which file, and how."""


class RestoreRefused(RelayError):
    """A restore was not begun: one line that says why and what to do."""


class FileEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file of a backup, as it is on the disk (compressed) and as it was before (``raw``)."""

    bytes: int
    sha256: str
    raw_bytes: int
    raw_sha256: str


class Mark(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A moment in the life of a store: everything up to it is in the backup, nothing behind it."""

    epoch: str
    """Names the store's life. A store that was restored begins another one."""
    schema: int
    revision: int
    """Of the newest row in its log of changes, 0 for none."""
    change: str
    """What that row says: two lives with the same number differ in it."""
    event_id: int
    """The newest event's place in the order of all events."""
    arrival: int
    """The newest message's place in the order of arrival."""
    cursors: dict[str, int]
    """How far the store has handled each journal: where the pipeline goes on after a restore."""


class Total(Struct, frozen=True, forbid_unknown_fields=True):
    """All rows of one table: how many, and the SHA-256 over them in the order of their keys."""

    rows: int
    sha256: str


class Link(Struct, frozen=True, forbid_unknown_fields=True):
    """The backup before this one: the hash chain."""

    id: str
    sha256: str
    """Of its manifest."""


class Media(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Files of messages. Their bytes are not in the backup; ``media.jsonl`` names them."""

    files: int
    bytes: int


class Manifest(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"from_": "from"}
):
    format: int
    evorelay: str
    """The version that made it."""
    id: str
    created_at: datetime
    from_: datetime | None
    """Conversations since then are in it: when the one before was made. None: from the start."""
    since: int | None
    """The revision it continues from. None: it holds every conversation there is."""
    mark: Mark
    previous: Link | None
    counts: dict[str, int]
    """Lines of ``conversations.jsonl`` by kind."""
    totals: dict[str, Total]
    """Of the whole store, by table."""
    media: Media
    files: dict[str, FileEntry]


class CheckResult(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What became of the attempt to restore a backup; kept beside it."""

    id: str
    manifest_sha256: str
    at: datetime
    problem: str | None
    """None: it was restored into a scratch store and compared, and all of it was right."""
    seconds: float


class Stretch(Struct, frozen=True, rename={"from_": "from"}):
    """A stretch of time; ``from_`` None: from the store's beginning on."""

    from_: datetime | None
    to: datetime

    def __str__(self) -> str:
        to = f"{self.to:%Y-%m-%d %H:%M} UTC"
        if self.from_ is None:
            return f"what changed before {to}"
        return f"what changed from {self.from_:%Y-%m-%d %H:%M} to {to}"


class Restored(Struct, frozen=True, kw_only=True):
    """What a restore did to the store."""

    id: str
    source: str
    """``database`` or ``conversations``: what it was restored from."""
    messages: int
    """New ones; those that were there already are not counted."""
    rows: int
    """Rows that are new or different, of every kind. 0: everything was there already."""
    epoch: str
    failed_replies: int
    """Replies that were waiting when the backup was made: nobody knows whether they were sent."""
    missing_before: datetime | None
    """Set when it was restored from a chain that does not reach back to the store's beginning."""
    missing: list[Stretch]
    """What the chain lacked, that beginning included, the oldest first."""
