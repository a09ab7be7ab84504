"""What systemd hands over in the environment, and what it is told: sd_notify(3), sd_listen_fds(3).

Outside systemd all of it does nothing. The environment is an argument; what was read is removed
from it, so that a child process never takes our sockets or our watchdog for its own.
"""

import logging
import os
import socket
from collections.abc import Callable, MutableMapping
from typing import NamedTuple

import trio

log = logging.getLogger(__name__)

FIRST_LISTEN_FD = 3
"""SD_LISTEN_FDS_START."""
LISTEN_FDS_MAX = 64
"""Far above what a unit of ours lists; bounds what a broken environment makes us touch."""

STATUS_EVERY_S = 2.0
"""How late a change is told at most."""

Environ = MutableMapping[str, str]


class Notifier:
    """Tells systemd how the daemon is. No method blocks or raises."""

    def __init__(self, address: str | None, watchdog_s: float | None = None) -> None:
        """``address``: a socket's path, ``@name`` for an abstract one, None for nobody."""
        self.watchdog_s = watchdog_s
        """Silence after which systemd restarts us; None: no watchdog."""
        if address and address[0] == "@":
            address = "\0" + address[1:]
        self._address = address or None

    @property
    def is_heard(self) -> bool:
        """Whether there is a systemd to tell anything."""
        return self._address is not None

    @classmethod
    def from_environ(cls, environ: Environ, pid: int) -> "Notifier":
        """Take NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID out of ``environ``."""
        address = environ.pop("NOTIFY_SOCKET", None)
        watchdog_us = environ.pop("WATCHDOG_USEC", "")
        watchdog_pid = environ.pop("WATCHDOG_PID", str(pid))
        has_watchdog = watchdog_us.isdecimal() and int(watchdog_us) > 0 and watchdog_pid == str(pid)
        return cls(address, int(watchdog_us) / 1e6 if has_watchdog else None)

    def ready(self) -> None:
        self._send("READY=1")

    def starting(self, patience_s: float) -> None:
        """The start goes on and may take this much longer, whatever ``TimeoutStartSec`` says."""
        self._send(f"EXTEND_TIMEOUT_USEC={round(patience_s * 1e6)}")

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def status(self, text: str) -> None:
        """One line for a person, shown by ``systemctl status``; it cannot steer a terminal."""
        self._send("STATUS=" + "".join(char if char.isprintable() else " " for char in text))

    def alive(self) -> None:
        self._send("WATCHDOG=1")

    def _send(self, assignment: str) -> None:
        if self._address is None:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.setblocking(False)
                sender.sendto(assignment.encode(), self._address)
        except OSError as error:
            log.warning(
                "could not notify systemd",
                extra={"message_lost": assignment.partition("=")[0], "error": str(error)},
            )


class StatusLine:
    """A service that keeps systemd's status line true: ``summary()`` is told when it changes."""

    def __init__(self, notifier: Notifier, summary: Callable[[], str]) -> None:
        """``summary`` is one line for a person; quick, and asked every few seconds."""
        self._notifier = notifier
        self._summary = summary

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        if not self._notifier.is_heard:
            await trio.sleep_forever()
        told = None
        while True:
            line = self._summary()
            if line != told:
                self._notifier.status(line)
                told = line
            await trio.sleep(STATUS_EVERY_S)


class Watchdog:
    """A service that feeds systemd's watchdog for as long as ``progress()`` is true.

    ``progress`` says whether the daemon does its work, not merely whether it runs; it is asked
    twice per watchdog period. Start it with the first services: it then still feeds the watchdog
    while the others drain.
    """

    def __init__(self, notifier: Notifier, progress: Callable[[], bool]) -> None:
        self._notifier = notifier
        self._progress = progress

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        if self._notifier.watchdog_s is None:
            await trio.sleep_forever()
        stuck = False
        while True:
            if self._progress():
                self._notifier.alive()
                stuck = False
            elif not stuck:
                stuck = True
                log.error(
                    "no progress: systemd will restart the daemon unless it moves again",
                    extra={"watchdog_s": self._notifier.watchdog_s},
                )
            await trio.sleep(self._notifier.watchdog_s / 2)


class ListenSocket(NamedTuple):
    name: str
    """``FileDescriptorName=`` of the socket unit, ``""`` when it gives none."""
    socket: socket.socket


def listen_sockets(environ: Environ, pid: int) -> list[ListenSocket]:
    """Take over the listening sockets systemd opened for process ``pid``; close-on-exec is set.

    Empty outside socket activation, and when the sockets are meant for another process. Raises
    ``ValueError`` for an environment that systemd does not write, ``OSError`` for a descriptor
    that is no socket. The caller owns the sockets.
    """
    count_text = environ.pop("LISTEN_FDS", "0")
    names = environ.pop("LISTEN_FDNAMES", "").split(":")
    if environ.pop("LISTEN_PID", None) != str(pid):
        return []
    if not count_text.isdecimal() or int(count_text) > LISTEN_FDS_MAX:
        raise ValueError(f"LISTEN_FDS must be a number up to {LISTEN_FDS_MAX}")
    found = []
    for index in range(int(count_text)):
        fd = FIRST_LISTEN_FD + index
        os.set_inheritable(fd, False)
        name = names[index] if index < len(names) else ""
        found.append(ListenSocket(name, socket.socket(fileno=fd)))
    return found
