"""A load process: started fresh (spawn), told what to do once, answering once."""

import multiprocessing
import resource
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, Generic, TypeVar

T = TypeVar("T")
_spawn = multiprocessing.get_context("spawn")


class LoadError(Exception):
    """A load process ended without its result; the text is its traceback."""


class Worker(Generic[T]):
    """``work(*arguments)`` in a process of its own; ends with the process when used as ``with``."""

    def __init__(self, work: Callable[..., T], *arguments: Any, talks: bool = False) -> None:
        """``talks``: the work takes its end of the pipe as last argument."""
        self._pipe, theirs = _spawn.Pipe()
        self._process = _spawn.Process(
            target=_run, args=(work, arguments, theirs, talks), daemon=True
        )
        self._process.start()
        theirs.close()

    def __enter__(self) -> "Worker[T]":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join()

    def tell(self, message: object) -> None:
        """Say something to it. When it has ended, ``hear`` and ``result`` say why."""
        with suppress(BrokenPipeError):
            self._pipe.send(message)

    def hear(self, meanwhile: Callable[[], None] | None = None) -> Any:
        """The next thing it says; ``meanwhile`` is called ten times a second.

        Raises ``LoadError``.
        """
        while not self._pipe.poll(0.1):
            if meanwhile is not None:
                meanwhile()
        try:
            said = self._pipe.recv()
        except EOFError:
            raise LoadError("a load process died") from None
        if isinstance(said, LoadError):
            raise said
        return said

    def result(self, meanwhile: Callable[[], None] | None = None) -> T:
        result: T = self.hear(meanwhile)
        self._process.join()
        return result


def _run(
    work: Callable[..., object], arguments: tuple[Any, ...], pipe: Connection, talks: bool
) -> None:
    allow_many_sockets()
    try:
        pipe.send(work(*arguments, pipe) if talks else work(*arguments))
    except Exception:
        pipe.send(LoadError(traceback.format_exc()))


def allow_many_sockets() -> None:
    """Let this process and its children open as many sockets as the system permits."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
