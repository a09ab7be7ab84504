"""P9 on the real process: backups beside a loaded daemon, through crashes, and put back."""

import json
import random
import shutil
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import apsw
import trio
from backports import zstd

from tests.e2e.load import Customer
from tests.support.agent import signed_in
from tests.support.commands import command, run_command
from tests.support.daemon import Daemon, running, token
from tests.support.http import ask
from tests.support.posting import (
    get,
    handled,
    messages_of,
    metric,
    post_text,
    post_texts,
    ticket_of,
)
from tests.support.waiting import eventually
from tests.support.webhooks import API_KEY, INSTANCE

SEED = 20261130
ADMIN = f"Bearer {token(role='admin')}"


async def backups_of(daemon: Daemon) -> dict[str, Any]:
    reply = await ask(daemon, "GET", "/v1/backups", Authorization=ADMIN)
    assert reply.status == 200, reply
    page: dict[str, Any] = reply.json
    return page


async def test_beside_a_loaded_daemon_and_back_again(tmp_path: Path) -> None:
    """Customers write all the time. Two backups, the store lost, the newer one restored: with what
    the journal still has, everything that was answered 200 is there, once and in order."""
    daemon = Daemon(tmp_path / "state")
    daemon.start()
    customers = [Customer(daemon, n, random.Random(SEED + n)) for n in range(4)]
    made = []
    try:
        async with trio.open_nursery() as nursery:
            for customer in customers:
                nursery.start_soon(customer.write)
            for _ in range(2):
                await trio.sleep(0.5)
                done = await command(daemon, "backup", "now", "--json")
                assert done.status == 0, done
                made.append(done.json)
            for customer in customers:
                customer.stop_asap()
        await handled(daemon)
        accepted = sum(len(customer.accepted) for customer in customers)
        assert made[0]["messages"] > 0
        assert 0 < made[1]["messages"] < accepted
        assert await metric(daemon, "evorelay_gaps_total") == 0
        async with signed_in(daemon) as agent:
            subscribed = (await agent.ask(subscribe={"channel": f"inbox:{INSTANCE}"}))["subscribe"]
        refused = await command(daemon, "backup", "restore")
        assert refused.status == 1
        assert "stop it first" in refused.err
        assert len(refused.err.splitlines()) == 1

        daemon.kill()
        for suffix in ("", "-wal", "-shm"):
            Path(f"{daemon.state_dir}/store.db{suffix}").unlink(missing_ok=True)
        restored = await command(daemon, "backup", "restore", "--json")
        assert restored.status == 0, restored
        assert restored.json["id"] == made[1]["id"]
        assert restored.json["epoch"] != subscribed["epoch"]

        daemon.start()
        await handled(daemon)
        for customer in customers:
            messages = await messages_of(daemon, await ticket_of(daemon, customer.phone))
            assert [message["content"] for message in messages] == customer.accepted
        await _old_cursors_are_void(daemon, subscribed)
        assert daemon.terminate() == 0
        again = await command(daemon, "backup", "restore")
        assert again.status == 0
        assert "nothing was changed" in again.out
    finally:
        daemon.kill()
        print(daemon.log()[-3000:])


async def _old_cursors_are_void(daemon: Daemon, subscribed: dict[str, Any]) -> None:
    """P3: who comes back with a place in the lost store is told to load anew."""
    async with signed_in(daemon) as agent:
        reply = await agent.ask(
            subscribe={
                "channel": f"inbox:{INSTANCE}",
                "recover": True,
                "offset": subscribed["offset"],
                "epoch": subscribed["epoch"],
            }
        )
        assert reply["subscribe"]["epoch"] != subscribed["epoch"]
        assert not reply["subscribe"].get("recovered", False)


async def test_killed_in_the_middle_of_backups(tmp_path: Path) -> None:
    """``kill -9`` at any moment of one: what has the name of a backup is whole, the rest goes."""
    rand = random.Random(SEED)
    daemon = Daemon(tmp_path / "state")
    daemon.start()
    directory = daemon.state_dir / "backups"
    try:
        texts = {f"W{number}": "x" * 2000 for number in range(300)}
        await post_texts(daemon, texts)
        await handled(daemon)
        for round_ in range(5):
            await post_text(daemon, f"R{round_}", "more")
            reply = await ask(daemon, "POST", "/v1/backups", Authorization=ADMIN)
            # 409: the start is checking the one before, and that is killed.
            assert reply.status in (202, 409), reply
            await trio.sleep(rand.uniform(0.0, 0.25))
            await trio.to_thread.run_sync(daemon.kill)
            await trio.to_thread.run_sync(daemon.start)

        async def is_quiet() -> bool:
            page = await backups_of(daemon)
            return not page["is_running"] and all(
                view["state"] == "verified" for view in page["backups"][:1]
            )

        await eventually(is_quiet, what="end of what the start had to do")
        assert list(directory.glob(".tmp*")) == []
        done = await command(daemon, "backup", "now", "--json")
        assert done.status == 0, done
        checked = await command(daemon, "backup", "verify", "--all", "--json")
        assert checked.status == 0, checked
        views = (await backups_of(daemon))["backups"]
        assert {view["state"] for view in views} == {"verified"}
        # Nothing told twice and nothing left out, however many of them there are.
        assert sum(view["messages"] for view in views) == 305
    finally:
        daemon.kill()
        print(daemon.log()[-3000:])


async def test_what_was_missed_is_made_after_the_start_and_seen_by_everybody(
    tmp_path: Path,
) -> None:
    """The daemon was down for two nights. REST, metrics, health and the log tell of the backup."""
    with running(tmp_path / "state") as daemon:
        await post_text(daemon, "W1", "hello")
        await handled(daemon)
        page = await backups_of(daemon)
        assert (page["schedule"], page["timezone"]) == ("0 2 * * *", "America/Sao_Paulo")
        assert page["backups"] == []
        assert datetime.fromisoformat(page["next_at"]) > datetime.now(UTC)
        await trio.to_thread.run_sync(daemon.terminate)
        with closing(apsw.Connection(str(daemon.state_dir / "store.db"))) as db:
            db.execute("UPDATE messages SET received_at = received_at - 2 * 86400000")
        await trio.to_thread.run_sync(daemon.start)

        async def is_made() -> dict[str, Any] | None:
            found = (await backups_of(daemon))["backups"]
            return found[0] if found and found[0]["state"] == "verified" else None

        view = await eventually(is_made, what="the backup that was missed")
        assert (view["messages"], view["tickets"], view["from"]) == (1, 1, None)
        assert await metric(daemon, 'evorelay_backups_total{outcome="done"}') == 1

        async def is_told() -> bool:
            moment = await metric(daemon, "evorelay_backup_last_verified_timestamp_seconds")
            return moment > 0 and "backup verified" in daemon.log()

        await eventually(is_told, what="metric of the verified backup")
        health = await get(daemon, "/health")
        assert health["checks"]["backup:verified"][0]["status"] == "pass"
        agents = await ask(daemon, "GET", "/v1/backups", Authorization=f"Bearer {token()}")
        assert agents.status == 403


async def test_the_commands_without_a_daemon(tmp_path: Path) -> None:
    """What an operator types, what it prints, and its exit status."""
    with running(tmp_path / "state") as daemon:
        await post_texts(daemon, {"W1": "uma", "W2": "duas"})
        await handled(daemon)
        daemon.terminate()
        nowhere = run_command(daemon, "backup", "now", EVORELAY_STATE_DIR=str(tmp_path / "none"))
        assert nowhere.status == 1
        assert "there is no store at" in nowhere.err
        assert len(nowhere.err.splitlines()) == 1
        nothing = run_command(daemon, "backup", "verify")
        assert nothing.status == 1
        assert "evorelay backup now" in nothing.err
        made = run_command(daemon, "backup", "now", "--json")
        assert made.status == 0, made
        path = Path(made.json["path"])
        assert made.json["messages"] == 2
        assert json.loads((path / "manifest.json").read_text())["counts"]["message"] == 2
        listed = run_command(daemon, "backup", "list", "--json").json["backups"]
        assert [view["id"] for view in listed] == [made.json["id"]]
        assert run_command(daemon, "backup", "verify", "--json").json["state"] == "verified"
        assert "verified" in run_command(daemon, "backup", "list").out

        # Without EvoRelay: the line a person wrote is found by zstd and grep alone.
        plain = _decompressed(path / "conversations.jsonl.zst")
        assert [row["content"] for row in plain if row["kind"] == "message"] == ["uma", "duas"]

        other = Daemon(tmp_path / "other", {"BACKUP__DIR": str(daemon.state_dir / "backups")})
        first = run_command(other, "backup", "restore")
        assert first.status == 0, first
        assert "restored 2 messages" in first.out
        assert "checking …" in first.err
        assert (other.state_dir / "store.db").stat().st_mode & 0o777 == 0o600

        (path / "conversations.jsonl.zst").write_bytes(b"x")
        damaged = run_command(daemon, "backup", "verify", "--json")
        assert damaged.status == 1
        assert "conversations.jsonl.zst" in damaged.json["problem"]
        for arguments in (("restore",), ("verify",)):
            done = run_command(daemon, "backup", *arguments)
            assert done.status == 1, done
            assert "conversations.jsonl.zst" in done.err
            assert ("--from-conversations" in done.err) is (arguments == ("restore",))
        unknown = run_command(daemon, "backup", "restore", "../../etc")
        assert unknown.status == 1
        assert "there is no backup" in unknown.err
        assert run_command(daemon, "backup", "verify", "--all", "x").status == 2


async def test_a_backup_that_somebody_removed_is_told_by_the_commands(tmp_path: Path) -> None:
    """Of three the second: the others are whole, and what the JSON Lines lack is no secret."""
    with running(tmp_path / "state") as daemon:
        made = []
        for number in range(3):
            await post_text(daemon, f"W{number}", "hello")
            await handled(daemon)
            done = await command(daemon, "backup", "now", "--json")
            assert done.status == 0, done
            made.append(done.json)
        daemon.terminate()
        assert run_command(daemon, "backup", "verify", "--all").status == 0
        shutil.rmtree(made[1]["path"])
        for arguments, status in ((("list",), 0), (("verify",), 0), (("verify", "--all"), 1)):
            done = run_command(daemon, "backup", *arguments)
            assert done.status == status, done
            assert f"backup {made[1]['id']} before it is missing" in done.out + done.err
        views = run_command(daemon, "backup", "verify", "--all", "--json").json["backups"]
        assert [(view["state"], view["gap"] is None) for view in views] == [
            ("verified", True),
            ("verified", False),
        ]
        other = Daemon(tmp_path / "other", {"BACKUP__DIR": str(daemon.state_dir / "backups")})
        refused = run_command(other, "backup", "restore", "--from-conversations")
        assert refused.status == 1
        assert "--partial" in refused.err
        assert run_command(other, "backup", "restore", "--partial").status == 2
        done = run_command(other, "backup", "restore", "--from-conversations", "--partial")
        assert done.status == 0, done
        assert "restored 2 messages" in done.out
        assert "Not in it: what changed from" in done.err


async def test_secrets_are_in_no_backup(tmp_path: Path) -> None:
    """P7: not the key in every webhook, not our own; and nothing is for other users to read."""
    with running(tmp_path / "state") as daemon:
        await post_text(daemon, "W1", "hello")
        await handled(daemon)
        done = await command(daemon, "backup", "now", "--json")
        path = Path(done.json["path"])
        everything = b"".join(file.read_bytes() for file in path.iterdir())
        everything += b"".join(_raw(file) for file in path.glob("*.zst"))
        assert b"hello" in everything
        for secret in (
            API_KEY,
            daemon.settings["WEBHOOK__SECRET"],
            daemon.settings["AUTH__JWT_SECRET"],
        ):
            assert secret.encode() not in everything
        for file in (path, *path.iterdir()):
            assert file.stat().st_mode & 0o077 == 0, file


async def test_a_disk_that_is_nearly_full_is_told_first(tmp_path: Path) -> None:
    with running(tmp_path / "state") as daemon:
        await post_text(daemon, "W1", "hello")
        await handled(daemon)
        free = shutil.disk_usage(tmp_path).free
        done = run_command(daemon, "backup", "now", EVORELAY_WEBHOOK__MIN_FREE_BYTES=str(free * 2))
        assert done.status == 1
        assert "are free at" in done.err
        assert "backup.dir" in done.err
        assert len(done.err.splitlines()) == 1
        assert [p.name for p in (daemon.state_dir / "backups").iterdir()] == [".lock"]


def _raw(path: Path) -> bytes:
    return zstd.decompress(path.read_bytes())


def _decompressed(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in _raw(path).splitlines()]
