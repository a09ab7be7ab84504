"""One inbox on a thousand screens: how many events a second reach them.

A delivery is one new message at one agent. The rate counts from the first webhook to the last
delivery, journal, pipeline and store included.
"""

from bench.daemon import Daemon
from bench.flow import Flow, check, flow, posting, warm_up, with_end
from bench.harness import Run, latency_figures, main
from bench.load.bodies import Audience

AGENTS = 1000
CONNECTIONS = 16
RATES = (100.0, 300.0)


def bench(run: Run) -> None:
    audience = Audience(instances=1, chats=50)
    channels = [(f"inbox:{audience.names[0]}",)] * (200 if run.quick else AGENTS)
    for rate in (None, *(RATES[:1] if run.quick else RATES)):
        seconds = run.seconds(5)
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
    clients_cpu_s = posted.cpu_s + received.cpu_s
    each = 1e6 / max(1, received.messages)
    run.row(
        title,
        deliveries_per_s=round(received.messages / done.elapsed_s),
        messages_per_s=round(accepted / done.elapsed_s),
        **latency_figures(received.latencies),
        daemon_us_per_delivery=round(done.daemon_cpu_s * each, 2),
        clients_us_per_delivery=round(clients_cpu_s * each, 2),
        messages=accepted,
        deliveries=received.messages,
        agents=received.connections,
    )


if __name__ == "__main__":
    main("fanout", __doc__, bench)
