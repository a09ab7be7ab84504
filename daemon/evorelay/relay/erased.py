"""Who was erased, so that nothing brings them back: no late webhook, no comparison, no backup.

A file beside the store and not a part of it, because a store that is put back from a backup knows
nothing of erasures since. It holds no number and no name: only keyed hashes of the ids under which
the person was known, and until when what they said is gone. Who writes again later is welcome.
"""

import hashlib
import hmac
import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Self

import msgspec
from msgspec import Struct

from evorelay.model.errors import RelayError
from evorelay.model.fact import Chat

FILE = "erased.json"
_HASH_BYTES = 16


class _Stored(Struct):
    key: str
    people: dict[str, int]
    """Hash of (instance, alias) -> Unix ms."""
    files: list[str] = []
    """Blobs that an erasure under way has still to remove; nothing else names them any more."""
    epoch: str = ""
    """Of the store that was last looked through for them."""


class Erased:
    """The list of one state directory. Reading it is cheap while nobody was erased."""

    def __init__(self, path: Path, stored: _Stored) -> None:
        self._path = path
        self._stored = stored
        self._key = bytes.fromhex(stored.key)

    @classmethod
    def load(cls, state_dir: Path) -> Self:
        """Raises ``RelayError`` for a file that is not ours; one that is not there is empty."""
        path = state_dir / FILE
        try:
            stored = msgspec.json.decode(path.read_bytes(), type=_Stored)
            return cls(path, stored)
        except FileNotFoundError:
            return cls(path, _Stored(secrets.token_hex(32), {}))
        except (msgspec.MsgspecError, ValueError) as error:
            raise RelayError(
                f"{path} is damaged ({error}); put a copy of it back: it says who was erased"
            ) from None
        except OSError as error:
            raise RelayError(f"{path} cannot be read: {error.strerror}") from None

    @property
    def is_empty(self) -> bool:
        return not self._stored.people

    def add(self, aliases: Iterable[tuple[str, str]], at: int) -> None:
        """Remember (instance, alias) pairs, durably on return; ``at`` is Unix ms.

        Raises ``RelayError`` when the file cannot be written; then nothing is remembered.
        """
        people = dict(self._stored.people)
        for instance, alias in aliases:
            name = self._hash(instance, alias)
            people[name] = max(at, people.get(name, 0))
        self._keep(msgspec.structs.replace(self._stored, people=people))

    def holds_for(self, epoch: str) -> bool:
        """Whether nobody of the list can be in the store of this epoch. Another epoch than the last
        one is a store that was put back from a backup, by the command or by hand."""
        return self.is_empty or self._stored.epoch == epoch

    def note_held(self, epoch: str) -> None:
        """That store was looked through. Raises ``RelayError``."""
        self._keep(msgspec.structs.replace(self._stored, epoch=epoch))

    def _keep(self, stored: _Stored) -> None:
        try:
            _replace(self._path, msgspec.json.encode(stored))
        except OSError as error:
            raise RelayError(f"{self._path} cannot be written: {error.strerror}") from None
        self._stored = stored

    @property
    def owed(self) -> list[str]:
        """Files of an erasure that was cut off, or is under way."""
        return self._stored.files

    def owe(self, files: Iterable[str]) -> None:
        """Remember durably that these files must go. Raises ``RelayError``."""
        owed = sorted({*self._stored.files, *files})
        if owed != self._stored.files:
            self._keep(msgspec.structs.replace(self._stored, files=owed))

    def settle(self) -> None:
        """They are gone. Raises ``RelayError``."""
        if self._stored.files:
            self._keep(msgspec.structs.replace(self._stored, files=[]))

    def until(self, instance: str, aliases: Iterable[str]) -> int | None:
        """When the person with one of these aliases was erased; None: never."""
        if self.is_empty:
            return None
        found = (self._stored.people.get(self._hash(instance, alias)) for alias in aliases)
        return max((at for at in found if at is not None), default=None)

    def covers(self, instance: str, chat: Chat, at: int) -> bool:
        """Whether what this person said at that moment is erased."""
        until = self.until(instance, chat.aliases)
        return until is not None and at <= until

    def _hash(self, instance: str, alias: str) -> str:
        said = f"{instance}\0{alias}".encode("utf-8", "replace")
        return hmac.digest(self._key, said, hashlib.sha256)[:_HASH_BYTES].hex()


def _replace(path: Path, data: bytes) -> None:
    """Durable, mode 0600, and never half a file."""
    new = path.with_name(path.name + ".new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    with os.fdopen(os.open(new, flags, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(new, path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
