"""From a webhook to the screens of ten agents, with a thousand connected.

A hundred inboxes, ten agents on each. "Saturated": webhooks are posted as fast as they are
accepted, and the rate counts until the last agent has the last message. "At N/s": the n-th message
is due at n/N whatever happens, and its latency counts from then.
"""

from bench.daemon import Daemon
from bench.flow import Flow, check, flow, posting, warm_up, with_end
from bench.harness import Run, latency_figures, main
from bench.load.bodies import Audience

AGENTS_EACH = 10
RATES = (500.0, 1000.0, 2000.0)
CONNECTIONS = 100


def bench(run: Run) -> None:
    inboxes = 20 if run.quick else 100
    audience = Audience(instances=inboxes, chats=20)
    channels = [(f"inbox:{name}",) for name in audience.names for _ in range(AGENTS_EACH)]
    for rate in (None, *(RATES[:1] if run.quick else RATES)):
        seconds = run.seconds(10)
        title = "saturated" if rate is None else f"at {rate:,.0f}/s"
        with Daemon() as daemon, run.step(title, seconds * 2 + 2) as tick:
            first = warm_up(daemon, audience)
            load = posting(daemon, audience, connections=CONNECTIONS, first=first)
            done = flow(daemon, with_end(load, seconds=seconds, rate=rate), channels, tick)
            check(run, daemon, done)
        _row(run, title, done)


def _row(run: Run, title: str, done: Flow) -> None:
    posted, received = done.posted, done.received
    accepted = len(posted.accepted)
    run.row(
        title,
        messages_per_s=round(accepted / done.elapsed_s),
        deliveries_per_s=round(received.messages / done.elapsed_s),
        **latency_figures(received.latencies),
        accepted_per_s=round(accepted / posted.elapsed_s),
        daemon_us_each=round(done.daemon_cpu_s / max(1, accepted) * 1e6),
        clients_us_each=round((posted.cpu_s + received.cpu_s) / max(1, accepted) * 1e6),
        messages=accepted,
        agents=received.connections,
    )


if __name__ == "__main__":
    main("end_to_end", __doc__, bench)
