"""Stopping in order, stopping at once, and refusing to run twice."""

import signal
import subprocess
from contextlib import closing
from pathlib import Path

import apsw
import pytest
import trio

from evorelay.model.envelope import Envelope
from evorelay.storage.sqlite.journal import SqliteJournal
from tests.support.agent import signed_in
from tests.support.daemon import Daemon, running, token
from tests.support.files_server import files_server
from tests.support.http import Connection, connected, request
from tests.support.posting import handled, messages_of, post_text, ticket_of
from tests.support.waiting import eventually
from tests.support.webhooks import INSTANCE, PATH, as_body, text_message


async def is_draining(daemon: Daemon) -> bool:
    """Whether it takes no new connections any more."""
    try:
        async with connected(daemon):
            return False
    except OSError:
        return True


async def begin_request(connection: Connection, whatsapp_id: str) -> bytes:
    """Send all but the end of a webhook; returns the end."""
    raw = request("POST", PATH, as_body(text_message(whatsapp_id, whatsapp_id)))
    await connection.send(raw[:-20])
    return raw[-20:]


async def test_requests_under_way_are_answered(daemon: Daemon) -> None:
    """SIGTERM: idle connections end, what has begun is finished, the status is 0."""
    async with connected(daemon) as busy, connected(daemon) as idle, signed_in(daemon) as agent:
        body = as_body(text_message("BEFORE", "BEFORE"))
        assert (await idle.ask("POST", PATH, body)).status == 200
        rest = await begin_request(busy, "LAST")
        # Answered after it was sent: by now the daemon has read what busy sent.
        await ticket_of(daemon)
        assert daemon.process is not None
        daemon.process.send_signal(signal.SIGTERM)
        await eventually(lambda: is_draining(daemon), what="drain")
        assert await idle.is_closed()
        close = await agent.closed()
        assert close is not None
        assert (close.code, close.reason) == (3001, "shutdown")
        await busy.send(rest)
        reply = await busy.read_reply()
        assert reply is not None
        assert reply.status in (200, 503)  # the latter if it was this test that did not get on
        assert await busy.is_closed()
    assert await trio.to_thread.run_sync(daemon.wait, 30.0) == 0
    await trio.to_thread.run_sync(daemon.start)
    if reply.status == 503:
        await post_text(daemon, "LAST", "LAST")
    await handled(daemon)
    contents = [m["content"] for m in await messages_of(daemon, await ticket_of(daemon))]
    assert sorted(contents) == ["BEFORE", "LAST"]


async def test_an_idle_keep_alive_connection_does_not_hold_it_up(daemon: Daemon) -> None:
    """Also one whose last request was served by Hypercorn: a browser's, a monitor's, a proxy's."""
    async with connected(daemon) as monitor:
        assert (await monitor.ask("GET", "/livez")).status == 200
        assert await trio.to_thread.run_sync(daemon.terminate) == 0  # 1 after the drain's deadline


async def test_a_request_that_never_ends_does_not_hold_it_up(daemon: Daemon) -> None:
    """Its sender is told to come again, and the stop is a clean one, well before its deadline."""
    async with connected(daemon) as stalled:
        await begin_request(stalled, "NEVER")
        await post_text(daemon, "OTHER", "oi")
        assert await trio.to_thread.run_sync(daemon.terminate) == 0
        reply = await stalled.read_reply()
        assert reply is not None
        assert reply.status == 503
    assert "not everything was finished" not in daemon.log()


async def test_a_backlog_does_not_hold_it_up_and_is_worked_off_afterwards(tmp_path: Path) -> None:
    """P1: what is accepted waits in the journal, however long a restart takes."""
    with running(tmp_path / "state", SERVER__DRAIN_TIMEOUT="2") as daemon:
        await trio.to_thread.run_sync(daemon.terminate)
        waiting = [
            Envelope(
                received_at=1_795_000_000_000,
                event="messages.upsert",
                instance=INSTANCE,
                body=as_body(text_message(f"B{number}", "oi", phone=f"55119{number:08d}")),
            )
            for number in range(20_000)
        ]
        with closing(SqliteJournal(daemon.state_dir / "journal.db")) as journal:
            journal.append(waiting)
        await trio.to_thread.run_sync(daemon.start)
        assert await trio.to_thread.run_sync(daemon.terminate) == 0
        await trio.to_thread.run_sync(daemon.start)
        await handled(daemon)
        await trio.to_thread.run_sync(daemon.terminate)
        with closing(apsw.Connection(str(daemon.state_dir / "store.db"))) as store:
            assert store.execute("SELECT count(*) FROM messages").get == len(waiting)


async def test_a_second_sigterm_aborts(tmp_path: Path) -> None:
    """Without it, it would wait ten minutes for what Evolution says to a question under way."""
    async with files_server() as evolution:
        asked = trio.Event()

        async def say_nothing(stream: trio.abc.Stream) -> None:
            asked.set()
            await trio.sleep_forever()

        evolution.answers[f"/chat/findMessages/{INSTANCE}"] = say_nothing
        settings = {
            "SERVER__DRAIN_TIMEOUT": "600",
            "EVOLUTION__TIMEOUT": "600",
            "EVOLUTION__URL": evolution.url(""),
            "EVOLUTION__API_KEY": "key-of-the-files-server",
        }
        with running(tmp_path / "state", **settings) as daemon:
            async with connected(daemon) as asking:
                await post_text(daemon, "OTHER", "oi")
                await ticket_of(daemon)
                headers = {
                    "Authorization": f"Bearer {token()}",
                    "Content-Type": "application/json",
                }
                target = f"/api/chat/findMessages/{INSTANCE}"
                await asking.send(request("POST", target, b"{}", headers))
                await asked.wait()
                assert daemon.process is not None
                daemon.process.send_signal(signal.SIGTERM)
                await eventually(lambda: is_draining(daemon), what="drain")
                assert await trio.to_thread.run_sync(daemon.terminate) == 1
            await trio.to_thread.run_sync(daemon.start)
            await handled(daemon)
            assert len(await messages_of(daemon, await ticket_of(daemon))) == 1


@pytest.mark.parametrize("same_port", [False, True])
def test_a_second_daemon_on_the_same_store_is_refused(daemon: Daemon, same_port: bool) -> None:
    """Exit 2 with one line, whether the port or only the store is taken.

    Contract: within 5 s; a busy machine gets more.
    """
    second = Daemon(daemon.state_dir)
    if same_port:
        second.settings["SERVER__BIND"] = daemon.settings["SERVER__BIND"]
    second.log_file = daemon.state_dir.with_name("second.log")
    process = second.spawn()
    try:
        assert process.wait(30) == 2
    except subprocess.TimeoutExpired:
        pytest.fail("it went on running")
    finally:
        second.kill()
    assert len(second.log().splitlines()) == 1
    assert str(daemon.state_dir) in second.log() or "server.bind" in second.log()
