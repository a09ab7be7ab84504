"""The first signal asks, the second insists."""

import logging
import os
import signal

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from evorelay.runtime.stop import watch_signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_first_signal_asks_and_the_second_aborts(number: signal.Signals) -> None:
    stop = trio.Event()
    with trio.CancelScope() as abort:
        async with trio.open_nursery() as nursery:
            await nursery.start(watch_signals, stop, abort)
            os.kill(os.getpid(), number)
            await stop.wait()
            assert not abort.cancel_called
            os.kill(os.getpid(), number)
            await trio.sleep_forever()
    assert abort.cancelled_caught


async def test_hangup_is_ignored_and_logged(
    nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    stop, abort = trio.Event(), trio.CancelScope()
    await nursery.start(watch_signals, stop, abort)
    os.kill(os.getpid(), signal.SIGHUP)
    with caplog.at_level(logging.WARNING), trio.fail_after(30):
        while not caplog.records:
            await wait_all_tasks_blocked()
    assert "SIGHUP" in caplog.text
    assert not stop.is_set()
    assert not abort.cancel_called


async def test_the_first_signal_never_aborts_a_drain_that_a_failure_began(
    nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    stop, abort = trio.Event(), trio.CancelScope()
    stop.set()
    await nursery.start(watch_signals, stop, abort)
    with caplog.at_level(logging.INFO), trio.fail_after(30):
        os.kill(os.getpid(), signal.SIGTERM)
        while not caplog.records:
            await wait_all_tasks_blocked()
    assert not abort.cancel_called
