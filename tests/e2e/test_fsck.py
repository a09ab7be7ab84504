"""``evorelay fsck`` beside a daemon that works: nothing it does meanwhile looks like a fault."""

import json
import subprocess
import sys
from base64 import b64encode
from pathlib import Path
from typing import Any

import trio

from tests.support.daemon import Daemon, running
from tests.support.http import connected
from tests.support.posting import handled
from tests.support.webhooks import PATH, as_body, text_message


def fsck(daemon: Daemon, *args: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "evorelay", "fsck", "--json", *args],
        env=daemon.environ(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


async def post_until(daemon: Daemon, enough: trio.Event) -> None:
    """Texts of many people, and now and then a file, until somebody has seen enough."""
    async with connected(daemon) as connection:
        number = 0
        while not enough.is_set():
            number += 1
            phone = f"55119{number % 50:08d}"
            webhook = text_message(f"W{number}", f"oi {number}", phone=phone)
            if number % 10 == 0:
                photo = b64encode(b"%d" % number * 30_000).decode()
                image = {"imageMessage": {"mimetype": "image/png"}}
                webhook["data"]["message"] = {**image, "base64": photo}
            reply = await connection.ask("POST", PATH, as_body(webhook))
            assert reply.status == 200, reply


async def test_a_daemon_at_work_is_sound(tmp_path: Path) -> None:
    with running(tmp_path / "state") as daemon:
        enough = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(post_until, daemon, enough)
            for _ in range(4):
                found = await trio.to_thread.run_sync(fsck, daemon)
                assert found["faults"] == []
            enough.set()
        await handled(daemon)
        found = await trio.to_thread.run_sync(fsck, daemon)
        assert found["checked"]["messages"] == found["checked"]["journal_entries"] > 100
        assert found["checked"]["files"] == found["checked"]["messages"] // 10
        daemon.kill()  # as a crash leaves it
        assert fsck(daemon)["faults"] == []
        assert fsck(daemon, "--repair")["repaired"] == []
