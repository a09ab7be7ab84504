"""One inbox on a thousand Socket.IO screens, beside as many of Centrifuge; and what a poll costs.

A delivery is one new message at one agent. The first row is the hub alone, in this process: it
shows that an event is encoded once, however many are in the room.
"""

from bench.daemon import Daemon
from bench.fanout import AGENTS, CONNECTIONS
from bench.flow import Flow, check, flow, posting, warm_up, with_end
from bench.harness import Row, Run, latency_figures, main
from bench.load.bodies import Audience
from bench.load.receiver import Protocol
from bench.rooms import count_encodings

AUDIENCE = Audience(instances=1, chats=50)
CHANNEL = f"inbox:{AUDIENCE.names[0]}"
RATE = 100.0
POLLERS = 100
POLL_RATES = (10.0, 100.0)


def bench(run: Run) -> None:
    agents = 200 if run.quick else AGENTS
    _encodings(run, agents)
    for rate in (None,) if run.quick else (None, RATE):
        title = "saturated" if rate is None else f"at {rate:,.0f}/s"
        rows = [
            _fanout(run, f"{protocol}, {title}", protocol, agents, rate)
            for protocol in ("centrifuge", "socketio")
        ]
        run.row(f"socketio to centrifuge, {title}", **_ratios(*rows))
    pollers = 20 if run.quick else POLLERS
    for rate in POLL_RATES[:1] if run.quick else POLL_RATES:
        _polling(run, pollers, rate)


def _encodings(run: Run, agents: int) -> None:
    events = 1000
    counted = count_encodings(agents, events)
    run.check(
        counted.encodings == events and counted.pushes == events * agents,
        f"{events:,} events to {agents:,} clients: {counted}",
    )
    run.row(
        f"hub alone, {agents:,} in a room",
        encodings_per_event=counted.encodings / events,
        daemon_us_per_delivery=round(counted.cpu_s / counted.pushes * 1e6, 2),
        agents=agents,
    )


def _run(run: Run, title: str, protocol: Protocol, agents: int, rate: float | None) -> Flow:
    seconds = run.seconds(5)
    with Daemon() as daemon, run.step(title, seconds * 2 + 2) as tick:
        first = warm_up(daemon, AUDIENCE)
        load = posting(daemon, AUDIENCE, connections=CONNECTIONS, first=first)
        load = with_end(load, seconds=seconds, rate=rate)
        done = flow(daemon, load, [(CHANNEL,)] * agents, tick, protocol=protocol)
        check(run, daemon, done)
    return done


def _fanout(run: Run, title: str, protocol: Protocol, agents: int, rate: float | None) -> Row:
    done = _run(run, title, protocol, agents, rate)
    figures = _figures(done)
    run.row(title, **figures)
    return figures


def _figures(done: Flow) -> Row:
    posted, received = done.posted, done.received
    return {
        "deliveries_per_s": round(received.messages / done.elapsed_s),
        "messages_per_s": round(len(posted.accepted) / done.elapsed_s),
        **latency_figures(received.latencies),
        "daemon_us_per_delivery": round(done.daemon_cpu_s / max(1, received.messages) * 1e6, 2),
        "messages": len(posted.accepted),
        "agents": received.connections,
    }


def _ratios(centrifuge: Row, socketio: Row) -> Row:
    names = ("deliveries_per_s", "p50_ms", "daemon_us_per_delivery")
    return {name: round(socketio[name] / centrifuge[name], 2) for name in names}


def _polling(run: Run, pollers: int, rate: float) -> None:
    """What ``pollers`` cost is what the daemon needs beyond the same load with one WebSocket."""
    title = f"{pollers} by polling, at {rate:,.0f}/s"
    alone = _run(run, f"nobody polling, at {rate:,.0f}/s", "socketio", 1, rate)
    done = _run(run, title, "polling", pollers, rate)
    polls = done.received.polls
    spent_s = done.daemon_cpu_s - alone.daemon_cpu_s
    run.row(
        title,
        **_figures(done),
        polls=polls,
        messages_per_poll=round(done.received.messages / max(1, polls), 2),
        daemon_us_per_poll=round(spent_s / max(1, polls) * 1e6),
    )


if __name__ == "__main__":
    main("socketio", __doc__, bench)
