"""The supervisor on a virtual clock. No worker thread is involved, so autojump is safe here.

Every test names ``autojump_clock`` beside ``diary``: pytest-trio takes the clock from a test's own
arguments only.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from evorelay.app import ASIDE
from evorelay.runtime.supervisor import (
    RestartPolicy,
    Run,
    Service,
    ServiceFailed,
    ServiceReturned,
    supervise,
)

Status = trio.TaskStatus[Any]


class Diary:
    """What happened and when, in virtual seconds."""

    def __init__(self, clock: MockClock) -> None:
        self._clock = clock
        self.lines: list[tuple[float, str]] = []

    def now(self) -> float:
        return round(self._clock.current_time(), 3)

    def note(self, what: str) -> None:
        self.lines.append((self.now(), what))

    def whats(self) -> list[str]:
        return [what for _, what in self.lines]


@pytest.fixture
def diary(autojump_clock: MockClock) -> Diary:
    return Diary(autojump_clock)


class Worker:
    """Starts after ``start_s``; once asked to finish, needs ``finish_s`` more."""

    def __init__(
        self, diary: Diary, name: str, *, start_s: float = 0.0, finish_s: float = 0.0
    ) -> None:
        self.diary, self.name = diary, name
        self.start_s, self.finish_s = start_s, finish_s
        self.asked = trio.Event()

    def drain(self) -> None:
        self.diary.note(f"{self.name} asked")
        self.asked.set()

    async def run(self, *, task_status: Status) -> None:
        await trio.sleep(self.start_s)
        task_status.started()
        self.diary.note(f"{self.name} started")
        try:
            await self.asked.wait()
            await trio.sleep(self.finish_s)
            self.diary.note(f"{self.name} finished")
        except trio.Cancelled:
            self.diary.note(f"{self.name} cancelled")
            raise

    def service(self, *, drain_s: float = 5.0) -> Service:
        return Service(name=self.name, run=self.run, drain=self.drain, drain_s=drain_s)


def crashing(diary: Diary, name: str, *lives_s: float) -> Run:
    """Each run lives for the next of ``lives_s`` and crashes; after those it lives on."""
    remaining = list(lives_s)

    async def run(*, task_status: Status) -> None:
        task_status.started()
        diary.note(f"{name} up")
        if remaining:
            await trio.sleep(remaining.pop(0))
            raise OSError(f"{name} broke")
        await trio.sleep_forever()

    return run


async def run_for(
    seconds: float,
    *levels: Service | tuple[Service, ...],
    ready: Callable[[], None] = lambda: None,
    drain_timeout: float = 100.0,
    on_restart: Callable[[str], None] = lambda name: None,
) -> list[str]:
    """Supervise ``levels``, asking them to stop after ``seconds``."""
    stop = trio.Event()

    async def stop_later() -> None:
        await trio.sleep(seconds)
        stop.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(stop_later)
        try:
            return await supervise(
                levels,
                stop=stop,
                ready=ready,
                rand=lambda: 1.0,
                drain_timeout=drain_timeout,
                on_restart=on_restart,
            )
        finally:
            nursery.cancel_scope.cancel()


async def failure_of(supervised: Awaitable[list[str]]) -> Exception:
    """The error ``supervise`` raised, out of the nursery of ``run_for``."""
    with pytest.raises(ExceptionGroup) as caught:
        await supervised
    (error,) = caught.value.exceptions
    assert isinstance(error, Exception)
    return error


async def test_levels_start_in_order_and_stop_in_reverse(
    diary: Diary, autojump_clock: MockClock
) -> None:
    journal = Worker(diary, "journal", start_s=1.0, finish_s=1.0)
    pipeline = Worker(diary, "pipeline", start_s=1.0, finish_s=1.0)
    gate = Worker(diary, "gate", start_s=1.0, finish_s=1.0)
    cut = await run_for(
        10.0,
        journal.service(),
        pipeline.service(),
        gate.service(),
        ready=lambda: diary.note("ready"),
    )
    assert cut == []
    assert diary.lines == [
        (1.0, "journal started"),
        (2.0, "pipeline started"),
        (3.0, "gate started"),
        (3.0, "ready"),
        (10.0, "gate asked"),
        (11.0, "gate finished"),
        (11.0, "pipeline asked"),
        (12.0, "pipeline finished"),
        (12.0, "journal asked"),
        (13.0, "journal finished"),
    ]


async def test_services_of_one_level_start_and_stop_together(
    diary: Diary, autojump_clock: MockClock
) -> None:
    left = Worker(diary, "left", start_s=2.0, finish_s=2.0)
    right = Worker(diary, "right", start_s=3.0, finish_s=3.0)
    await run_for(10.0, (left.service(), right.service()), ready=lambda: diary.note("ready"))
    assert (3.0, "ready") in diary.lines
    assert (12.0, "left finished") in diary.lines
    assert (13.0, "right finished") in diary.lines


async def test_a_drain_longer_than_its_limit_is_cut_and_named(
    diary: Diary, autojump_clock: MockClock
) -> None:
    slow = Worker(diary, "slow", finish_s=60.0)
    below = Worker(diary, "below", finish_s=1.0)
    cut = await run_for(1.0, below.service(), slow.service(drain_s=3.0))
    assert cut == ["slow"]
    assert diary.lines[-4:] == [
        (1.0, "slow asked"),
        (4.0, "slow cancelled"),
        (4.0, "below asked"),
        (5.0, "below finished"),
    ]


async def test_the_overall_deadline_bounds_every_level_and_keeps_the_order(
    diary: Diary, autojump_clock: MockClock
) -> None:
    names = ["a", "b", "c"]
    services = [Worker(diary, name, finish_s=60.0).service(drain_s=30.0) for name in names]
    cut = await run_for(1.0, *services, drain_timeout=10.0)
    assert cut == ["c", "b", "a"]
    assert [at for at, what in diary.lines if "cancelled" in what] == [11.0, 11.0, 11.0]
    assert diary.whats()[-2:] == ["a asked", "a cancelled"]


async def test_a_service_without_drain_is_cancelled_at_once(
    diary: Diary, autojump_clock: MockClock
) -> None:
    cut = await run_for(1.0, Service(name="ticker", run=crashing(diary, "ticker")))
    assert cut == []
    assert diary.now() == 1.0


async def test_crashes_back_off_doubling(
    diary: Diary, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    restarted: list[str] = []
    run = crashing(diary, "hub", 1.0, 1.0, 1.0)
    with caplog.at_level(logging.ERROR):
        await run_for(30.0, Service(name="hub", run=run), on_restart=restarted.append)
    # up at 0, crash 1, wait 0.5, crash 2.5, wait 1, crash 4.5, wait 2
    assert [at for at, _ in diary.lines] == [0.0, 1.5, 3.5, 6.5]
    assert restarted == ["hub"] * 3
    named = [record for record in caplog.records if record.__dict__.get("service") == "hub"]
    assert len(named) == 3
    assert all(record.exc_info is not None for record in named)


@pytest.mark.parametrize(
    ("crashes", "rand", "delay_s"),
    [(1, 0.0, 0.25), (1, 1.0, 0.5), (2, 1.0, 1.0), (4, 0.5, 3.0), (7, 1.0, 30.0), (500, 1.0, 30.0)],
)
def test_back_off_table(crashes: int, rand: float, delay_s: float) -> None:
    assert RestartPolicy().delay_s(crashes, rand) == delay_s


async def test_a_crash_outside_the_window_is_forgiven(
    diary: Diary, autojump_clock: MockClock
) -> None:
    policy = RestartPolicy(restarts_max=1, window_s=10.0)
    run = crashing(diary, "hub", 1.0, 20.0, 20.0)
    await run_for(60.0, Service(name="hub", run=run, restart=policy))
    # every wait is the first of its series: 0.5 s
    assert [at for at, _ in diary.lines] == [0.0, 1.5, 22.0, 42.5]


async def test_too_many_crashes_drain_the_others_in_order_and_raise_the_cause(
    diary: Diary,
    autojump_clock: MockClock,
) -> None:
    journal = Worker(diary, "journal", finish_s=1.0)
    gate = Worker(diary, "gate", finish_s=1.0)
    run = crashing(diary, "hub", 1.0, 1.0, 1.0)
    hub = Service(name="hub", run=run, restart=RestartPolicy(restarts_max=2))
    error = await failure_of(run_for(1000.0, journal.service(), hub, gate.service()))
    assert isinstance(error, ServiceFailed)
    assert error.name == "hub"
    assert isinstance(error.__cause__, OSError)
    assert diary.lines[-4:] == [
        (4.5, "gate asked"),
        (5.5, "gate finished"),
        (5.5, "journal asked"),
        (6.5, "journal finished"),
    ]


async def test_what_stands_aside_may_crash_for_ever(
    diary: Diary, autojump_clock: MockClock
) -> None:
    """P5: health, canary, backups and their like; a part of the way of messages may not."""
    run = crashing(diary, "canary", *[0.0] * 100_000)
    cut = await run_for(86_400.0, Service(name="canary", run=run, restart=ASIDE))
    assert cut == []
    assert diary.now() == 86_400.0
    assert len(diary.lines) < 86_400 / 5  # and it is no busy loop


async def test_a_crash_before_started_fails_the_boot_with_the_cause(
    diary: Diary, autojump_clock: MockClock
) -> None:
    journal = Worker(diary, "journal", finish_s=1.0)
    never = Worker(diary, "never")

    async def run(*, task_status: Status) -> None:
        del task_status
        await trio.sleep(1.0)
        raise PermissionError("cannot bind")

    error = await failure_of(
        run_for(
            1000.0,
            journal.service(),
            Service(name="gate", run=run),
            never.service(),
            ready=lambda: diary.note("ready"),
        )
    )
    assert isinstance(error, ServiceFailed)
    assert isinstance(error.__cause__, PermissionError)
    assert diary.whats() == ["journal started", "journal asked", "journal finished"]


async def test_stop_during_the_boot_cancels_what_is_starting(
    diary: Diary, autojump_clock: MockClock
) -> None:
    journal = Worker(diary, "journal", finish_s=1.0)
    slow = Worker(diary, "slow", start_s=60.0)
    cut = await run_for(2.0, journal.service(), slow.service(), ready=lambda: diary.note("ready"))
    assert cut == []
    assert diary.lines == [
        (0.0, "journal started"),
        (2.0, "journal asked"),
        (3.0, "journal finished"),
    ]


async def test_returning_unasked_is_a_crash(diary: Diary, autojump_clock: MockClock) -> None:
    async def run(*, task_status: Status) -> None:
        task_status.started()
        diary.note("up")
        await trio.sleep(1.0)

    service = Service(name="gate", run=run, restart=RestartPolicy(restarts_max=1))
    error = await failure_of(run_for(1000.0, service))
    assert isinstance(error, ServiceFailed)
    assert isinstance(error.__cause__, ServiceReturned)
    assert diary.whats() == ["up", "up"]


async def test_a_stop_during_the_back_off_does_not_wait_for_the_restart(
    diary: Diary, autojump_clock: MockClock
) -> None:
    policy = RestartPolicy(backoff_first_s=30.0)
    run = crashing(diary, "hub", 1.0)
    await run_for(2.0, Service(name="hub", run=run, restart=policy))
    assert diary.lines == [(0.0, "hub up")]
    assert diary.now() == 2.0


async def test_a_lower_level_is_still_restarted_while_an_upper_one_drains(
    diary: Diary, autojump_clock: MockClock
) -> None:
    """The journal must come back for the gate to finish what it holds."""
    gate = Worker(diary, "gate", finish_s=4.0)
    journal = Service(name="journal", run=crashing(diary, "journal", 2.0))
    await run_for(1.0, journal, gate.service(drain_s=10.0))
    assert diary.lines[-2:] == [(2.5, "journal up"), (5.0, "gate finished")]


async def test_a_crash_while_draining_is_raised_and_the_rest_still_drains(
    diary: Diary, autojump_clock: MockClock
) -> None:
    asked = trio.Event()

    async def run(*, task_status: Status) -> None:
        task_status.started()
        await asked.wait()
        raise OSError("disk full")

    below = Worker(diary, "below")
    service = Service(name="journal", run=run, drain=asked.set)
    error = await failure_of(run_for(1.0, below.service(), service))
    assert isinstance(error, OSError)
    assert diary.whats()[-1] == "below finished"


async def test_a_drain_that_raises_does_not_stop_the_others(
    diary: Diary, autojump_clock: MockClock
) -> None:
    def broken() -> None:
        raise LookupError("bug")

    below = Worker(diary, "below")
    service = Service(name="hub", run=crashing(diary, "hub"), drain=broken)
    error = await failure_of(run_for(1.0, below.service(), service))
    assert isinstance(error, LookupError)
    assert diary.whats()[-1] == "below finished"


async def test_cancelling_from_outside_ends_everything_at_once(
    diary: Diary, autojump_clock: MockClock
) -> None:
    """What the second SIGTERM does."""
    worker = Worker(diary, "slow", finish_s=60.0)
    with trio.move_on_after(2.0) as scope:
        await run_for(1.0, worker.service(drain_s=60.0))
    assert scope.cancelled_caught
    assert diary.lines[-1] == (2.0, "slow cancelled")
