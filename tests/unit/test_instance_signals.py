"""Changes of instances reach every subscriber once; one that is full or gone hurts nobody."""

import trio
import trio.testing

from evorelay.relay.instance_signals import WAITING_MAX, InstanceSignals


async def test_every_subscriber_hears_of_a_change_and_of_a_repetition_nobody() -> None:
    signals = InstanceSignals()
    first, second = signals.subscribe(), signals.subscribe()
    signals.note("vendas", "open")
    signals.note("vendas", "open")
    assert (first.receive_nowait(), second.receive_nowait()) == ("vendas", "vendas")
    assert first.statistics().current_buffer_used == 0
    assert signals.state("vendas") == "open"
    assert signals.state("other") is None


async def test_a_subscriber_that_left_is_forgotten() -> None:
    signals = InstanceSignals()
    gone, stays = signals.subscribe(), signals.subscribe()
    gone.close()
    signals.note("vendas", "open")
    signals.note("vendas", "close")
    assert [stays.receive_nowait(), stays.receive_nowait()] == ["vendas", "vendas"]


async def test_a_full_subscriber_delays_nobody_and_can_still_ask() -> None:
    """P5: the queue is bounded, the state is the truth."""
    signals = InstanceSignals()
    idle = signals.subscribe()
    for number in range(WAITING_MAX + 1):
        signals.note(f"i{number}", "open")
    busy = signals.subscribe()
    signals.note("vendas", "open")
    assert busy.receive_nowait() == "vendas"
    assert idle.statistics().current_buffer_used == WAITING_MAX
    assert signals.state("vendas") == "open"


async def test_waiting_for_a_change_ends_when_it_comes() -> None:
    signals = InstanceSignals()
    receiver = signals.subscribe()
    heard: list[str] = []

    async def wait() -> None:
        heard.append(await receiver.receive())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        signals.note("vendas", "connecting")
    assert heard == ["vendas"]
