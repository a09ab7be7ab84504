"""What understanding one webhook costs, without a daemon: reading its body, making facts of it."""

import time
from collections.abc import Callable

from bench.harness import Run, main
from bench.load.bodies import body
from evorelay.model.envelope import Envelope
from evorelay.model.fact import MessageFact
from evorelay.protocol.normalise import normalise
from evorelay.protocol.webhook import read_body

ROUNDS = 5
TEXT = "Olá! Quero saber do meu pedido, já saiu para entrega? 😀"


def bench(run: Run) -> None:
    raw = body("bench-0000", "5511900000001", whatsapp_id="3EB0" + "0" * 16, text=TEXT)
    read = read_body(raw, path_event="")
    envelope = Envelope(
        received_at=time.time_ns() // 1_000_000,
        event=read.event,
        instance=read.instance,
        body=read.json,
    )
    facts = normalise(envelope)
    run.check(
        len(facts) == 1 and isinstance(facts[0], MessageFact) and facts[0].content == TEXT,
        f"not understood: {facts}",
    )
    run.check(b"apikey" not in read.json, "the body read still has its key")
    _measure(run, "read_body", len(raw), lambda: read_body(raw, path_event=""))
    _measure(run, "normalise", len(read.json), lambda: normalise(envelope))


def _measure(run: Run, case: str, size: int, work: Callable[[], object]) -> None:
    """The fastest of a few rounds: what the machine does besides only ever adds."""
    seconds = run.seconds(5) / ROUNDS
    best = float("inf")
    with run.step(case, seconds * ROUNDS) as tick:
        for _ in range(ROUNDS):
            tick()
            best = min(best, _round(seconds, work))
    run.row(case, us_each=round(best * 1e6, 2), bytes=size)


def _round(seconds: float, work: Callable[[], object]) -> float:
    began = now = time.perf_counter()
    count = 0
    while now - began < seconds:
        for _ in range(1000):
            work()
        count += 1000
        now = time.perf_counter()
    return (now - began) / count


if __name__ == "__main__":
    main("decode", __doc__, bench)
