"""Starts services in dependency order, restarts the ones that crash, drains them in reverse.

A service is data: a name, a ``run`` coroutine, how often it may crash, and how it is asked to
finish. Levels are started one after the other, the services of one level together; on the way
out the same levels are left in reverse, so whatever takes work in stops before what does it.

What holds:

- A crash before ``task_status.started()`` of the first run fails the boot.
- ``run`` returning although nobody asked it to finish is a crash.
- A crash is followed by a restart after a back-off; more than ``restarts_max`` crashes within
  ``window_s`` end the whole daemon, in order, and systemd starts a clean one.
- Cancelling ``supervise`` from outside cancels every service at once, in no order.
"""

import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import trio

log = logging.getLogger(__name__)


class Run(Protocol):
    def __call__(self, *, task_status: trio.TaskStatus[Any]) -> Awaitable[None]:
        """Run until cancelled, or until drained. Called anew for each restart."""


@dataclass(frozen=True, kw_only=True)
class RestartPolicy:
    """How many crashes are forgiven, and how long to wait after each."""

    restarts_max: int = 5
    window_s: float = 60.0
    backoff_first_s: float = 0.5
    backoff_max_s: float = 30.0

    def delay_s(self, crashes: int, rand: float) -> float:
        """Wait after the ``crashes``-th crash in the window; ``rand`` in [0, 1] is the jitter.

        Half of the delay is certain, so that a crash loop is never a busy loop.
        """
        full = min(self.backoff_max_s, self.backoff_first_s * 2.0 ** (crashes - 1))
        return full * (0.5 + 0.5 * rand)


@dataclass(frozen=True, kw_only=True)
class Service:
    """One part of the daemon that has a life of its own.

    ``drain`` is called once when the service shall finish what it holds; ``run`` then has
    ``drain_s`` seconds to return before it is cancelled. Without ``drain`` it is cancelled at
    once.
    """

    name: str
    run: Run
    restart: RestartPolicy = RestartPolicy()
    drain: Callable[[], None] | None = None
    drain_s: float = 5.0


class ServiceFailed(Exception):
    """A service could not start, or crashed too often. ``__cause__`` says why."""

    def __init__(self, name: str, what: str) -> None:
        super().__init__(f"service {name!r} {what}")
        self.name = name


class ServiceReturned(Exception):
    """``run`` ended although nobody asked it to: a bug, treated like a crash."""


async def supervise(
    levels: Sequence[Service | tuple[Service, ...]],
    *,
    stop: trio.Event,
    ready: Callable[[], None],
    rand: Callable[[], float],
    drain_timeout: float,
    on_restart: Callable[[str], None] = lambda name: None,
) -> list[str]:
    """Run ``levels`` until ``stop`` is set, then drain them; return who had to be cut short.

    ``ready`` is called once, when every service has started. ``drain_timeout`` seconds after
    ``stop`` no service is waited for any longer: what is left is cancelled, still in order. (A
    service that shields itself from cancelling is only ended by systemd's TimeoutStopSec.)
    ``on_restart`` is told the name of a service that crashed and will be restarted.

    Raises ``ServiceFailed`` after the drain when a service failed for good, and the error of a
    service that crashed while it drained. Sets ``stop`` itself when a service fails, so that
    every holder of the event sees the daemon going down.
    """
    failures: list[Exception] = []

    def fail(error: Exception) -> None:
        failures.append(error)
        stop.set()

    launched: list[list[_Runner]] = []
    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as boot:
            nursery.start_soon(_cancel_when, stop, boot)
            for level in levels:
                services = (level,) if isinstance(level, Service) else level
                runners = [_Runner(service, rand, on_restart, fail) for service in services]
                launched.append(runners)
                for runner in runners:
                    nursery.start_soon(runner.keep_running, name=runner.service.name)
                for runner in runners:
                    await runner.settled.wait()
                if stop.is_set():
                    break
            else:
                ready()
        await stop.wait()
        cut = await _drain(reversed(launched), trio.current_time() + drain_timeout)
    if failures:
        raise failures[0]  # the first is the cause; each was logged when it happened
    return cut


async def _cancel_when(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel()


async def _drain(levels: Iterable[list["_Runner"]], deadline: float) -> list[str]:
    cut: list[str] = []
    for level in levels:
        async with trio.open_nursery() as leaving:
            for runner in level:
                leaving.start_soon(runner.leave, deadline, cut)
    return cut


class _Runner:
    """One service's life: running, crashed and backing off, draining, done."""

    def __init__(
        self,
        service: Service,
        rand: Callable[[], float],
        on_restart: Callable[[str], None],
        fail: Callable[[Exception], None],
    ) -> None:
        self.service = service
        self.settled = trio.Event()
        """Set once the first run has started, or has failed to."""
        self._rand = rand
        self._on_restart = on_restart
        self._fail = fail
        self._started = False
        self._leaving = trio.Event()
        self._done = trio.Event()
        self._scope: trio.CancelScope | None = None
        """Around the run that is under way, None between runs."""
        self._crashes: deque[float] = deque(maxlen=service.restart.restarts_max + 1)

    def started(self, value: object = None) -> None:
        """What ``run`` calls through its ``task_status``."""
        self._started = True
        self.settled.set()

    async def keep_running(self) -> None:
        try:
            while not self._leaving.is_set():
                error = await self._run_once()
                delay_s = None if error is None else self._judge(error)
                if delay_s is None:
                    return
                with trio.move_on_after(delay_s):
                    await self._leaving.wait()
        finally:
            self._done.set()
            self.settled.set()

    async def leave(self, deadline: float, cut: list[str]) -> None:
        """Ask the service to finish, wait as long as it may take, cancel it, wait until it ended.

        Appends the service's name to ``cut`` when it did not finish by itself.
        """
        self._leaving.set()
        if self.service.drain is not None and self._started and self._scope is not None:
            wait_until = min(deadline, trio.current_time() + self.service.drain_s)
            if self._ask_to_finish(self.service.drain):
                with trio.CancelScope(deadline=wait_until):
                    await self._done.wait()
            if not self._done.is_set():
                cut.append(self.service.name)
                log.warning(
                    "service did not finish in time and is cut short",
                    extra={"service": self.service.name},
                )
        if self._scope is not None:
            self._scope.cancel()
        await self._done.wait()

    async def _run_once(self) -> Exception | None:
        """Return why the run ended, None when it ended because it was asked to."""
        try:
            with trio.CancelScope() as self._scope:
                await self.service.run(task_status=self)
        except Exception as error:  # this is the supervisor: a crash of any kind is its business
            return error
        finally:
            self._scope = None
        if self._leaving.is_set():
            return None
        return ServiceReturned("run() returned although nobody asked it to finish")

    def _judge(self, error: Exception) -> float | None:
        """Log a crash; return how long to wait before the restart, None for no restart."""
        name, policy = self.service.name, self.service.restart
        if self._leaving.is_set():
            log.error("service crashed while it drained", exc_info=error, extra={"service": name})
            self._fail(error)
            return None
        if not self._started:
            log.error("service did not start", exc_info=error, extra={"service": name})
            self._give_up("did not start", error)
            return None
        now = trio.current_time()
        self._crashes.append(now)
        recent = sum(at > now - policy.window_s for at in self._crashes)
        if recent > policy.restarts_max:
            log.error("service crashed too often", exc_info=error, extra={"service": name})
            self._give_up(f"crashed {recent} times in {policy.window_s:g} s", error)
            return None
        delay_s = policy.delay_s(recent, self._rand())
        log.error(
            "service crashed and will be restarted",
            exc_info=error,
            extra={"service": name, "restart_in_s": round(delay_s, 3)},
        )
        self._on_restart(name)
        return delay_s

    def _give_up(self, what: str, error: Exception) -> None:
        failure = ServiceFailed(self.service.name, what)
        failure.__cause__ = error
        self._fail(failure)

    def _ask_to_finish(self, drain: Callable[[], None]) -> bool:
        try:
            drain()
        except Exception as error:  # the supervisor again: one part's bug must not stop the rest
            log.error("drain failed", exc_info=error, extra={"service": self.service.name})
            self._fail(error)
            return False
        return True
