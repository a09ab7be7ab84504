"""Which WhatsApp instances are connected, for whoever inside the daemon waits for one.

The pipeline (from webhooks, after their commit) and the watch (from polling) note what they learn;
lanes unpark and the reconciler starts when an instance opens. Nothing here is durable: the row in
the store says what is, and the first poll after a start says it again.
"""

import trio

WAITING_MAX = 1000
"""Names in one subscriber's queue. Instances are few hundred at most, so it fills only for a
subscriber that does nothing for long."""


class InstanceSignals:
    """The latest known state of each instance, and who wants to hear of changes."""

    def __init__(self) -> None:
        self._states: dict[str, str] = {}
        self._subscribers: list[trio.MemorySendChannel[str]] = []

    def note(self, instance: str, state: str) -> None:
        """Say what an instance's state is now; the same again tells nobody."""
        if self._states.get(instance) == state:
            return
        self._states[instance] = state
        for subscriber in list(self._subscribers):
            try:
                subscriber.send_nowait(instance)
            except trio.WouldBlock:
                pass  # it has a thousand instances to look at first, and ``state`` is the truth
            except trio.BrokenResourceError:
                self._subscribers.remove(subscriber)

    def state(self, instance: str) -> str | None:
        """``open``, ``connecting``, ``close``, ``unknown``; None: not heard of since the start."""
        return self._states.get(instance)

    def subscribe(self) -> trio.MemoryReceiveChannel[str]:
        """The names of instances whose state changes from now on; close it when done.

        Ask ``state`` for what it came to: several changes may have passed since the name was put
        in. A name is left out while ``WAITING_MAX`` others wait.
        """
        sender, receiver = trio.open_memory_channel[str](WAITING_MAX)
        self._subscribers.append(sender)
        return receiver
