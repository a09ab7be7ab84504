"""How soon those who were away know everything: agents that reconnect, and a daemon that was down.

Agents come back with the offset they had: up to 1,000 missed events come in the answer to their
subscription (from memory, after a restart from the store), more are read page by page through
``history`` (from the store). A daemon that comes back works off its journal.

The times include what this client does to read the JSON.
"""

import time
from typing import Any

from msgspec import Struct

from bench.daemon import Daemon
from bench.flow import post_and_settle, settle, warm_up
from bench.harness import Row, Run, difference, main
from bench.load.bodies import WHATSAPP_ID, Audience, body
from bench.load.wire import Client
from evorelay.model.envelope import Envelope
from evorelay.storage.sqlite.journal import SqliteJournal

AUDIENCE = Audience(instances=1, chats=50)
CHANNEL = f"inbox:{AUDIENCE.names[0]}"
PAGE = 1000
"""As much as the daemon gives in one answer."""
RETURNING = 100
JOURNAL_BATCH = 100
Publication = dict[str, Any]
"""As JSON has it: ``offset`` and ``data``, an event of the contract."""


class Position(Struct, frozen=True):
    """Where an agent was when it lost its connection."""

    offset: int
    epoch: str


def bench(run: Run) -> None:
    missed = 2000 if run.quick else 10_000
    with Daemon() as daemon:
        first = warm_up(daemon, AUDIENCE)
        away = _position(daemon)
        with run.step(f"posting {missed:,} messages", missed / 2000) as tick:
            posted = post_and_settle(daemon, AUDIENCE, first=first, count=missed, tick=tick)
        recent = Position(away.offset + missed - PAGE, away.epoch)
        wanted = posted.in_journal_order
        few, all_ = f"{PAGE:,} missed, in the answer", f"{missed:,} missed, by history"
        _one_returns(run, daemon, few, recent, wanted[-PAGE:])
        _one_returns(run, daemon, all_, away, wanted)
        _many_return(run, daemon, recent, wanted[-PAGE:])
        daemon.stop()
        daemon.start()
        _one_returns(run, daemon, f"{few}, daemon restarted", recent, wanted[-PAGE:])
        _one_returns(run, daemon, f"{all_}, daemon restarted", away, wanted)
    _backlog(run, 4000 if run.quick else 30_000)


def _position(daemon: Daemon) -> Position:
    client = Client(daemon.host, daemon.port)
    client.connect(daemon.token())
    found = client.call("subscribe", {"channel": CHANNEL})
    client.close()
    return Position(found["offset"], found["epoch"])


def _one_returns(run: Run, daemon: Daemon, case: str, away: Position, wanted: list[int]) -> None:
    """From the TCP connect to the moment when the agent has everything and is LIVE."""
    began = time.monotonic()
    client = Client(daemon.host, daemon.port)
    client.connect(daemon.token())
    events = catch_up(client, away)
    seconds = time.monotonic() - began
    client.close()
    _check(run, case, [events], away, wanted)
    run.row(case, **_figures(seconds, len(events)))


def _many_return(run: Run, daemon: Daemon, away: Position, wanted: list[int]) -> None:
    """All at once, as after a cut of the line."""
    case = f"{RETURNING} agents at once, {len(wanted):,} missed each"
    cpu_s = daemon.cpu_s()
    began = time.monotonic()
    clients = [Client(daemon.host, daemon.port) for _ in range(RETURNING)]
    for client in clients:
        client.send_upgrade()
    for client in clients:
        client.finish_upgrade()
        client.send_command("connect", {"token": daemon.token()})
    for client in clients:
        client.read_reply("connect")
        client.send_command("subscribe", _resume(away))
    answers = [client.read_reply("subscribe") for client in clients]
    seconds = time.monotonic() - began
    cpu_s = daemon.cpu_s() - cpu_s
    for client in clients:
        client.close()
    told = [answer.get("publications", []) for answer in answers]
    _check(run, case, told, away, wanted)
    run.row(case, **_figures(seconds, sum(map(len, told)), cpu_s))


def catch_up(client: Client, away: Position) -> list[Publication]:
    """Everything after a position, as an SDK gets it: from the answer, else page by page."""
    answer = client.call("subscribe", _resume(away))
    events: list[Publication] = answer.get("publications", [])
    if answer.get("recovered"):
        return events
    reached = away.offset
    while reached < answer["offset"]:
        since = {"offset": reached, "epoch": away.epoch}
        page = client.call("history", {"channel": CHANNEL, "limit": PAGE, "since": since})
        if not page["publications"]:
            break
        events += page["publications"]
        reached = page["publications"][-1]["offset"]
    return events


def _resume(away: Position) -> dict[str, object]:
    return {
        "channel": CHANNEL,
        "recover": True,
        "offset": away.offset,
        "epoch": away.epoch,
    }


def _check(
    run: Run, case: str, told: list[list[Publication]], away: Position, wanted: list[int]
) -> None:
    """Every agent was told exactly what it missed, in order; a case that failed is one line."""
    amiss = [found for events in told if (found := _amiss(events, away, wanted))]
    first = amiss[0] if amiss else ""
    run.check(not amiss, f"{case}: {len(amiss)} of {len(told)} agents, the first: {first}")


def _amiss(events: list[Publication], away: Position, wanted: list[int]) -> str:
    """What is wrong with what one agent was told; empty when nothing is."""
    numbers = [number for event in events if (number := _number(event)) is not None]
    offsets = [event["offset"] for event in events]
    gaps = sum(found != due for due, found in enumerate(offsets, away.offset + 1))
    if numbers == wanted and not gaps:
        return ""
    return f"{gaps:,} offsets not contiguous; messages: {difference(numbers, wanted)}"


def _number(event: Publication) -> int | None:
    """The number of a new message; None for any other event."""
    if event["data"]["type"] != "message.created":
        return None
    found = WHATSAPP_ID.fullmatch(event["data"]["message"]["whatsapp_id"])
    return int(found[1]) if found else -1


def _figures(seconds: float, events: int, daemon_cpu_s: float | None = None) -> Row:
    figures: Row = {
        "seconds": round(seconds, 3),
        "events_per_s": round(events / seconds),
        "events": events,
    }
    if daemon_cpu_s is not None:
        figures["daemon_us_each"] = round(daemon_cpu_s / max(1, events) * 1e6, 1)
    return figures


def _backlog(run: Run, entries: int) -> None:
    """A journal as a killed daemon leaves it, until its last entry is in the store.

    The figures count what was left of it when the daemon said that it is ready.
    """
    case = f"restart, {entries:,} journal entries"
    with Daemon() as daemon, run.step(case, entries / 4000 + 2) as tick:
        first = warm_up(daemon, AUDIENCE)
        away = _position(daemon)
        daemon.stop()
        fill_journal(daemon, first, entries)
        daemon.start()
        cpu_s, began = daemon.cpu_s(), time.monotonic()
        backlog = settle(daemon, tick)
        seconds = time.monotonic() - began
        cpu_s = daemon.cpu_s() - cpu_s
        client = Client(daemon.host, daemon.port)
        client.connect(daemon.token())
        events = catch_up(client, away)
        client.close()
        _check(run, case, [events], away, list(range(first, first + entries)))
    run.row(case, **_figures(seconds, backlog, cpu_s))


def fill_journal(daemon: Daemon, first: int, entries: int) -> None:
    """So many webhooks, from number ``first`` on. The daemon does not run."""
    journal = SqliteJournal(daemon.state_dir / "journal.db")
    now = time.time_ns() // 1_000_000
    for start in range(first, first + entries, JOURNAL_BATCH):
        numbers = range(start, min(start + JOURNAL_BATCH, first + entries))
        journal.append([_envelope(number, now) for number in numbers])
    journal.close()


def _envelope(number: int, now: int) -> Envelope:
    instance = AUDIENCE.instance(number)
    phone = f"55119{number % AUDIENCE.chats:08d}"
    text = "Olá! Quero saber do meu pedido, já saiu para entrega?"
    raw = body(instance, phone, whatsapp_id=f"3EB0{number:016d}", text=text)
    return Envelope(received_at=now, event="messages.upsert", instance=instance, body=raw)


if __name__ == "__main__":
    main("catchup", __doc__, bench)
