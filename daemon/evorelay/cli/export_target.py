"""Where an export goes: a directory or a zip file, for nobody else to read."""

import os
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from evorelay.model.errors import ConfigError

_CHUNK_BYTES = 1024 * 1024


class Target:
    """A directory that is being filled. Files get mode 0600."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        path = self._root / name
        path.parent.mkdir(mode=0o700, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
            yield file

    def write(self, name: str, content: bytes) -> None:
        with self.open(name) as file:
            file.write(content)

    def rename(self, name: str, new: str) -> None:
        """The last step of a file whose name says that it is whole."""
        (self._root / name).rename(self._root / new)

    def copy(self, source: Path, name: str) -> bool:
        """Whether the file was there."""
        try:
            with source.open("rb") as read, self.open(name) as written:
                shutil.copyfileobj(read, written, _CHUNK_BYTES)
        except FileNotFoundError:
            with suppress(FileNotFoundError):
                (self._root / name).unlink()
            return False
        return True


@contextmanager
def open_target(out: Path) -> Iterator[Target]:
    """A zip file is made beside its place and moved there when it is whole; of one that could not
    be finished nothing stays. Raises ``ConfigError`` for a place that is taken."""
    try:
        with ExitStack() as stack:
            if out.suffix.lower() != ".zip":
                yield Target(_empty(out))
                return
            if out.exists():
                raise ConfigError(f"--out: {out} is there already; name a new file")
            work = out.with_name(out.name + ".part")
            stack.callback(shutil.rmtree, work, ignore_errors=True)
            yield Target(_empty(work))
            _zip(work, out)
    except OSError as error:
        raise ConfigError(f"--out: {error.filename or out}: {error.strerror}") from None


def _empty(directory: Path) -> Path:
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise ConfigError(f"--out: {directory} is not an empty directory")
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return directory


def _zip(source: Path, out: Path) -> None:
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with (
        os.fdopen(os.open(out, flags, 0o600), "w+b") as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for path in sorted(source.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(source))
