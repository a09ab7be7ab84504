"""P8: each thing the daemon depends on is broken in turn, and health says so and recovers."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import apsw
import jwt
import trio

from evorelay.simulator.options import SimulatorOptions
from evorelay.simulator.run import open_simulator
from tests.edge.key_server import ec_key, jwk, key_set, open_key_server
from tests.support.agent import signed_in
from tests.support.daemon import Daemon, running, token
from tests.support.http import ask, connected
from tests.support.posting import get, handled, messages_of, metric, post_text, ticket_of
from tests.support.waiting import eventually
from tests.support.webhooks import PATH, as_body, text_message

QUICK = {"HEALTH__CANARY_EVERY": "1", "HEALTH__CANARY_WARN": "0.5", "HEALTH__CANARY_FAIL": "1"}
API_KEY = "the-global-key-of-this-evolution"


class Seen:
    """One answer of ``/health``."""

    def __init__(self, status: int, document: dict[str, Any]) -> None:
        self.http_status = status
        self.status = document["status"]
        self.checks: dict[str, list[dict[str, Any]]] = document["checks"]

    def __getitem__(self, name: str) -> str:
        return str(self.checks[name][0]["status"])

    def said(self, name: str) -> str:
        return str(self.checks[name][0].get("output", ""))


async def look(daemon: Daemon) -> Seen:
    reply = await ask(daemon, "GET", "/health", Authorization=f"Bearer {token(role='admin')}")
    return Seen(reply.status, reply.json)


async def until(daemon: Daemon, name: str, status: str, *, within_s: float = 30) -> Seen:
    """Wait until a check is so."""

    async def found() -> Seen | None:
        seen = await look(daemon)
        return seen if name in seen.checks and seen[name] == status else None

    return await eventually(found, what=f"{name} {status}", within_s=within_s)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another process writes to this database and does not come to an end."""
    with closing(apsw.Connection(str(path))) as db:
        db.set_busy_timeout(5000)
        db.execute("BEGIN IMMEDIATE")
        yield
        db.execute("ROLLBACK")


async def post(daemon: Daemon, whatsapp_id: str) -> int:
    """Post a text and return the HTTP status."""
    return (await ask(daemon, "POST", PATH, as_body(text_message(whatsapp_id, "oi")))).status


async def test_a_store_that_another_process_holds_stops_the_pipeline_and_no_webhook(
    tmp_path: Path,
) -> None:
    """P1, P8: webhooks are taken all the while; health fails, because agents see none of them."""
    with running(tmp_path / "state", **QUICK, HEALTH__PIPELINE_FAIL="10") as daemon:
        await until(daemon, "canary:roundtrip", "pass")
        with locked(daemon.state_dir / "store.db"):
            assert await post(daemon, "A1") == 200
            seen = await until(daemon, "store:write", "warn")
            assert seen["store:read"] == "pass"
            seen = await until(daemon, "canary:roundtrip", "fail")
            assert "waits in the pipeline" in seen.said("canary:roundtrip")
            seen = await until(daemon, "pipeline:lag", "fail")
            assert (seen.status, seen.http_status) == ("fail", 503)
            assert "none is lost" in seen.said("pipeline:lag")
            assert (await ask(daemon, "GET", "/readyz")).status == 200
            assert await post(daemon, "A2") == 200
            status = await trio.to_thread.run_sync(status_command, daemon)
            assert status.returncode == 1
            assert " fail " in status.stdout.splitlines()[3]
        await until(daemon, "canary:roundtrip", "pass")
        await until(daemon, "pipeline:lag", "pass")
        messages = await messages_of(daemon, await ticket_of(daemon))
        assert [message["whatsapp_id"] for message in messages] == ["A1", "A2"]


async def test_a_commit_that_hangs_fails_health_and_is_waited_for(tmp_path: Path) -> None:
    """P1, P8: nobody is answered before the fsync, and health says why nobody is."""
    hangs = tmp_path / "hangs"
    program = Path(__file__).parents[1] / "support" / "hanging_disk.py"
    daemon = Daemon(
        tmp_path / "state", {**QUICK, "HEALTH__COMMIT_WARN": "0.2", "HEALTH__COMMIT_FAIL": "0.5"}
    )
    try:
        daemon.start(wrapper=[sys.executable, "-P", str(program), str(hangs)])
        assert await post(daemon, "A1") == 200
        hangs.touch()
        async with connected(daemon) as evolution, trio.open_nursery() as nursery:
            answered: list[int] = []

            async def post_and_wait() -> None:
                body = as_body(text_message("A2", "oi"))
                answered.append((await evolution.ask("POST", PATH, body)).status)

            nursery.start_soon(post_and_wait)
            seen = await until(daemon, "journal:commit", "fail")
            assert (seen.status, seen.http_status) == ("fail", 503)
            assert "the disk hangs" in seen.said("journal:commit")
            assert not answered
            hangs.unlink()
        assert answered == [200]
        await until(daemon, "journal:commit", "pass")
        await until(daemon, "canary:roundtrip", "pass")
    finally:
        daemon.kill()


async def test_a_journal_that_cannot_be_written_fails_health(tmp_path: Path) -> None:
    """P8: whoever posts is told 503 then, whatever the journal says of itself."""
    with running(tmp_path / "state", **QUICK) as daemon:
        with locked(daemon.state_dir / "journal.db"):
            assert await post(daemon, "A1") == 503
            seen = await until(daemon, "journal:commit", "fail")
            assert "webhooks are refused" in seen.said("journal:commit")
            assert (await ask(daemon, "GET", "/readyz")).status == 503
        seen = await until(daemon, "journal:commit", "pass")
        assert (await ask(daemon, "GET", "/readyz")).status == 200
        assert await post(daemon, "A1") == 200


async def test_a_disk_below_the_watermark_says_what_to_do(tmp_path: Path) -> None:
    with running(tmp_path / "state", WEBHOOK__MIN_FREE_BYTES=str(1 << 52)) as daemon:
        seen = await look(daemon)
        assert (seen.status, seen.http_status) == ("fail", 503)
        assert seen["journal:commit"] == "fail"
        assert "Free some space" in seen.said("disk:free")


async def test_an_evolution_that_is_away_is_a_warning_and_stops_no_webhook(tmp_path: Path) -> None:
    """P5, P8: webhooks and readiness do not depend on it."""
    options = SimulatorOptions(
        None, instances=1, rate_per_minute=0, api_key=API_KEY, dialects=("2.3.6 baileys",)
    )
    quick = {
        "EVOLUTION__API_KEY": API_KEY,
        "EVOLUTION__POLL_EVERY": "0.1",
        "HEALTH__SILENCE_WARN": "0.5",
    }
    async with open_simulator(options) as simulator:
        (name,) = simulator.instances
        daemon = Daemon(tmp_path / "state", {**quick, "EVOLUTION__URL": simulator.url})
        try:
            await trio.to_thread.run_sync(daemon.start)
            body = as_body(text_message("A1", "oi", instance=name))
            assert (await ask(daemon, "POST", PATH, body)).status == 200
            await simulator.set_state(name, "open")
            seen = await until(daemon, "instance:silence", "warn")
            (silence,) = seen.checks["instance:silence"]
            assert (silence["componentId"], silence["state"]) == (name, "open")
            assert seen["evolution:reachable"] == "pass"
        except BaseException:
            daemon.kill()
            raise
    try:  # the simulator is gone
        seen = await until(daemon, "evolution:reachable", "warn")
        assert (seen.status, seen.http_status) == ("warn", 200)
        assert "run `evorelay doctor`" in seen.said("evolution:reachable")
        assert (await ask(daemon, "GET", "/readyz")).status == 200
        assert await post(daemon, "A2") == 200
    finally:
        daemon.kill()


async def test_keys_that_cannot_be_fetched_are_a_warning(tmp_path: Path) -> None:
    """P7, P8: known agents still sign in; and it is told from keys that were never fetched."""
    async with open_key_server() as keys:
        keys.status = "500 Internal Server Error"
        settings = {"AUTH__JWKS_URL": keys.url, "HEALTH__KEYS_WARN": "0.01"}
        daemon = Daemon(tmp_path / "state", settings)
        try:
            await trio.to_thread.run_sync(daemon.start)
            seen = await until(daemon, "auth:keys", "warn")
            assert "never fetched" in seen.said("auth:keys")
            keys.status, keys.body = "200 OK", key_set(jwk(ec_key(), "k1"))
            assert await trio.to_thread.run_sync(daemon.terminate) == 0
            await trio.to_thread.run_sync(daemon.start)
            await until(daemon, "auth:keys", "pass")
            keys.status = "500 Internal Server Error"
            # A key nobody knows has them fetched anew.
            stranger = jwt.encode({"sub": "x"}, ec_key("two"), "ES256", headers={"kid": "k2"})
            await ask(daemon, "GET", "/v1/tickets", Authorization=f"Bearer {stranger}")
            seen = await until(daemon, "auth:keys", "warn")
            assert "cannot be fetched anew" in seen.said("auth:keys")
            assert (seen.status, seen.http_status) == ("warn", 200)
        finally:
            daemon.kill()


async def test_a_backup_that_cannot_be_made_is_a_warning(tmp_path: Path) -> None:
    """P9."""
    shelf = tmp_path / "shelf"
    with running(tmp_path / "state", BACKUP__DIR=str(shelf)) as daemon:
        assert (await look(daemon))["backup:age"] == "pass"
        if shelf.is_dir():
            for path in sorted(shelf.rglob("*"), reverse=True):
                path.unlink()
            shelf.rmdir()
        shelf.write_text("no directory")
        await post_text(daemon, "A1", "oi")
        admin = f"Bearer {token(role='admin')}"
        assert (await ask(daemon, "POST", "/v1/backups", Authorization=admin)).status == 202
        seen = await until(daemon, "backup:age", "warn")
        assert (seen.status, seen.http_status) == ("warn", 200)
        assert "backup" in seen.said("backup:age")


async def test_the_canary_leaves_no_trace_that_anybody_sees(tmp_path: Path) -> None:
    """P3, P7, P8."""
    with running(tmp_path / "state", **QUICK) as daemon:
        async with signed_in(daemon, token(role="admin")) as agent:
            for request in ("subscribe", "history", "presence", "presence_stats"):
                reply = await agent.ask(**{request: {"channel": "canary"}})
                assert reply["error"]["code"] == 103, reply
            for channel in ("inbox:loja-centro", "instance:*"):
                assert "error" not in await agent.ask(subscribe={"channel": channel})
            for number in range(2):
                await canaries(daemon, number + 1)
                await post_text(daemon, f"A{number}", "oi")
            # All that an administrator is told, in offsets without a hole.
            offsets = [0]
            seen: list[str] = []
            while seen.count("message.created") < 2:
                with trio.fail_after(20):
                    event = await agent.event()
                seen.append(event.data["type"])
                if event.channel == "inbox:loja-centro":
                    offsets.append(event.offset)
            assert offsets == list(range(len(offsets)))
            assert "canary" not in seen
        forged = {"event": "canary", "instance": "canary", "canary": "1", "data": {"id": "1"}}
        assert (await ask(daemon, "POST", PATH, as_body(forged))).status == 200
        await handled(daemon)
        assert [one["name"] for one in (await get(daemon, "/v1/instances"))["instances"]] == [
            "canary",  # so is this webhook's instance called
            "loja-centro",
        ]
        assert len((await get(daemon, "/v1/tickets"))["tickets"]) == 1
        stats = await get(daemon, "/webhook/ws-stats")
        assert stats == {"totalConnections": 0, "activeTickets": 0, "connectionsByTicket": {}}
        assert await metric(daemon, 'messages_total{type="canary",status="received"}') == 0
        assert await observations(daemon, "evorelay_webhook_to_publish_seconds") == 3
        log = daemon.log()
    with closing(apsw.Connection(str(daemon.state_dir / "store.db"))) as db:
        ids = [id_ for (id_,) in db.execute("SELECT id FROM events ORDER BY id")]
        rows = db.execute("SELECT data FROM events WHERE type = 'canary'").fetchall()
    assert ids == list(range(1, len(ids) + 1))
    assert all(json.loads(str(data))["id"] != "1" for (data,) in rows)
    assert len(rows) >= 2
    assert "evorelay.relay.canary" not in log


async def canaries(daemon: Daemon, count: int) -> None:
    async def are_back() -> bool:
        return await observations(daemon, "evorelay_canary_seconds") >= count

    await eventually(are_back, what=f"{count} canaries", within_s=30)


async def observations(daemon: Daemon, histogram: str) -> float:
    text = (await ask(daemon, "GET", "/metrics")).body.decode()
    (value,) = [
        line.split()[1] for line in text.splitlines() if line.startswith(f"{histogram}_count ")
    ]
    return float(value)


async def test_monitors_may_ask_for_the_head_alone(daemon: Daemon) -> None:
    """Better Stack and others ask by HEAD where they are told to."""
    for path in ("/health", "/webhook/health", "/readyz", "/livez"):
        async with connected(daemon) as monitor:
            await monitor.send(f"HEAD {path} HTTP/1.1\r\nHost: relay\r\n\r\n".encode())
            head = b""
            with trio.fail_after(10):
                while b"\r\n\r\n" not in head:
                    head += await monitor.stream.receive_some()
                assert head.startswith(b"HTTP/1.1 200 "), head
                # No body: the next answer follows the empty line at once.
                await monitor.send(
                    b"GET /livez HTTP/1.1\r\nHost: relay\r\nConnection: close\r\n\r\n"
                )
                rest = head.partition(b"\r\n\r\n")[2]
                while data := await monitor.stream.receive_some():
                    rest += data
            assert rest.startswith(b"HTTP/1.1 200 "), rest


async def test_a_keyword_monitor_finds_the_whole_and_not_a_check(daemon: Daemon) -> None:
    """README: Better Stack looks for this text; a check that passes must not satisfy it."""
    body = (await ask(daemon, "GET", "/health")).body
    assert body.startswith(b'{"status":"warn","version":')  # no Evolution is configured
    assert b'"status":"pass"' in body
    assert b'"status":"pass","version"' not in body


def status_command(daemon: Daemon, *args: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "evorelay", "status", *args],
        env=daemon.environ({"COLUMNS": "200"}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
