"""How an operator stops the daemon: the first signal asks, the second insists."""

import logging
import signal

import trio

log = logging.getLogger(__name__)


async def watch_signals(
    stop: trio.Event,
    abort: trio.CancelScope,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Set ``stop`` on the first SIGTERM or SIGINT, cancel ``abort`` on the second; then return.

    Only signals are counted: the first one never aborts, even when ``stop`` was set already
    because a service failed. SIGHUP is ignored, so that a closed terminal or a "reload" out of
    habit does not end the daemon. Runs in the main thread only; cancelling restores the handlers
    that were there before.
    """
    asked = False
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        task_status.started()
        async for number in signals:
            name = signal.Signals(number).name
            if number == signal.SIGHUP:
                log.warning("ignored SIGHUP; restart the daemon to change its configuration")
            elif not asked:
                asked = True
                log.info("stopping: finishing what is held", extra={"signal": name})
                stop.set()
            else:
                log.warning("stopping at once: asked a second time", extra={"signal": name})
                abort.cancel()
                return
