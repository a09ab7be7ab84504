"""How many webhooks a second are answered 200, each of them fsynced (P1).

After each measurement the daemon is killed with SIGKILL and its journal read: every number that was
answered must be there, under the seq of its answer.
"""

from bench.daemon import Daemon
from bench.harness import Run, latency_figures, main
from bench.load.bodies import WHATSAPP_ID, Audience
from bench.load.poster import Posted, Posting, post
from bench.load.worker import Worker
from evorelay.storage.sqlite.journal import SqliteJournal

CONNECTIONS = (1, 16, 100)
_READ_BYTES = 4 * 1024 * 1024


def bench(run: Run) -> None:
    for connections in CONNECTIONS:
        _measure(run, connections)


def _measure(run: Run, connections: int) -> None:
    seconds = run.seconds(10)
    with Daemon() as daemon:
        posting = Posting(
            host=daemon.host,
            port=daemon.port,
            secret=daemon.secret,
            audience=Audience(instances=10, chats=100),
            connections=connections,
            seconds=seconds,
        )
        cpu_s = daemon.cpu_s()
        with (
            run.step(f"{connections} connections", seconds + 1) as tick,
            Worker(post, posting) as worker,
        ):
            posted = worker.result(tick)
        cpu_s = daemon.cpu_s() - cpu_s
        lag = daemon.lag()
        daemon.kill()
        _check(run, posted, SqliteJournal(daemon.state_dir / "journal.db"))
    accepted = len(posted.accepted)
    run.row(
        f"{connections} connections",
        accepted_per_s=round(accepted / posted.elapsed_s),
        **latency_figures(posted.latencies),
        daemon_us_each=round(cpu_s / max(1, accepted) * 1e6),
        client_us_each=round(posted.cpu_s / max(1, accepted) * 1e6, 1),
        lag_at_end=lag,
        accepted=accepted,
    )


def _check(run: Run, posted: Posted, journal: SqliteJournal) -> None:
    """Every answered number is in the journal under its seq, and nothing else is."""
    found: dict[int, int] = {}
    position = 0
    while entries := journal.read(position, _READ_BYTES):
        position = entries[-1].seq
        for entry in entries:
            match = WHATSAPP_ID.search(entry.envelope.body.decode())
            assert match is not None
            found[entry.seq] = int(match[1])
    journal.close()
    answered = {seq: number for number, seq in enumerate(posted.seqs, posted.first) if seq}
    run.check(set(posted.statuses) == {200}, f"answers other than 200: {posted.statuses}")
    run.check(len(answered) == len(posted.accepted), "a seq was answered twice")
    lost = sum(found.get(seq) != number for seq, number in answered.items())
    run.check(not lost, f"{lost} answered webhooks are not in the journal under their seq")
    run.check(len(found) == len(answered), f"{len(found)} entries for {len(answered)} answers")


if __name__ == "__main__":
    main("durable_accept", __doc__, bench)
