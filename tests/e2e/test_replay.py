"""``evorelay replay`` beside the real daemon, after an upgrade that reads what was not understood.

What an older version left behind is written into the store while nobody runs on it.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest

from tests.support.daemon import Daemon, running, token
from tests.support.http import ask
from tests.support.posting import get, handled, messages_of, post_text, ticket_of
from tests.support.webhooks import INSTANCE, PATH, as_body, text_message

OLDER = "[Mensagem não suportada]"


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with running(tmp_path / "state") as daemon:
        yield daemon


def replay(daemon: Daemon, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "evorelay", "replay", *arguments],
        env=daemon.environ({"COLUMNS": "100"}),
        capture_output=True,
        text=True,
        timeout=60,
    )


def rewrite(daemon: Daemon, sql: str, *values: Any) -> None:
    """Have the store say what an older version wrote, and the daemon start on it."""
    daemon.terminate()
    with closing(apsw.Connection(str(daemon.state_dir / "store.db"))) as db:
        db.execute(sql, values)
        assert db.changes()
    daemon.start()


async def quarantined(daemon: Daemon, *ids: str) -> None:
    """Two odd webhooks, of which the current version understands those of ``ids``."""
    for number in range(2):
        odd = as_body({"event": "messages.upsert", "instance": INSTANCE, "data": [number]})
        assert (await ask(daemon, "POST", PATH, odd)).status == 200
    await handled(daemon)
    daemon.terminate()
    with closing(apsw.Connection(str(daemon.state_dir / "store.db"))) as db:
        rows = db.execute("SELECT id FROM quarantine ORDER BY id").fetchall()
        assert len(rows) == 2
        for (row,), id_ in zip(rows, ids, strict=False):
            body = as_body(text_message(id_, f"texto \x1b[31m {id_}")).decode()
            db.execute("UPDATE quarantine SET body = ? WHERE id = ?", (body, row))
    daemon.start()


async def quarantine_of(daemon: Daemon) -> list[dict[str, Any]]:
    answer = await ask(
        daemon,
        "GET",
        "/v1/quarantine",
        Authorization=f"Bearer {token('sonia', role='supervisor')}",
    )
    rows: list[dict[str, Any]] = answer.json["quarantine"]
    return rows


async def test_without_a_choice_it_says_what_it_would_do(daemon: Daemon) -> None:
    await quarantined(daemon, "3EB0A")
    result = replay(daemon)
    assert result.returncode == 0, result.stderr
    assert "new ticket of Cliente 7777\n" in result.stdout
    assert 'new message 3EB0A of Cliente 7777: "texto \\u001b[31m 3EB0A"\n' in result.stdout
    assert "1 would be understood now; 1 still not understood (bad_data 1)\n" in result.stdout
    assert result.stdout.endswith("Nothing was changed. To do it: evorelay replay --all\n")
    assert result.stderr == ""
    assert len(await quarantine_of(daemon)) == 2


async def test_all_of_it_is_replayed_in_the_order_of_arrival(daemon: Daemon) -> None:
    """P2: and again changes nothing."""
    await quarantined(daemon, "3EB0A", "3EB0B")
    result = replay(daemon, "--all")
    assert (result.returncode, result.stdout) == (0, "2 replayed\n"), result.stderr
    found = await messages_of(daemon, await ticket_of(daemon))
    assert [message["whatsapp_id"] for message in found] == ["3EB0A", "3EB0B"]
    assert await quarantine_of(daemon) == []
    again = replay(daemon, "--all")
    assert (again.returncode, again.stdout) == (0, "There is no such webhook in quarantine.\n")


async def test_a_choice_takes_what_it_names(daemon: Daemon) -> None:
    await quarantined(daemon, "3EB0A")
    for choice in (
        ("--reason", "no_key"),
        ("--event", "call"),
        ("--instance", "outra"),
        ("--until", "1h"),
        ("--since", "2099-01-01T00:00:00Z"),
    ):
        result = replay(daemon, *choice)
        assert (result.returncode, result.stdout) == (
            0,
            "There is no such webhook in quarantine.\n",
        ), choice
    result = replay(daemon, "--event", "MESSAGES_UPSERT", "--since", "1h", "--json")
    answer = json.loads(result.stdout)
    assert (answer["replayed"], answer["still_quarantined"], answer["dry_run"]) == (1, 1, False)
    assert [one["outcome"] for one in answer["entries"]] == ["replayed", "still_quarantined"]


async def test_one_by_its_id(daemon: Daemon) -> None:
    await quarantined(daemon, "3EB0A")
    odd, fine = [row["id"] for row in await quarantine_of(daemon)]
    result = replay(daemon, fine)
    assert result.returncode == 0
    assert 'new message 3EB0A of Cliente 7777: "texto' in result.stdout
    assert f"{fine}: was replayed before\n" in replay(daemon, fine).stdout
    result = replay(daemon, odd)
    assert result.returncode == 1
    assert f"{odd}: still not understood: bad_data, " in result.stdout
    result = replay(daemon, "no/such")
    assert (result.returncode, result.stderr) == (1, "no/such: is not in quarantine\n")


async def test_the_journal_mends_what_was_read_wrongly(daemon: Daemon) -> None:
    await post_text(daemon, "3EB0A", "Olá")
    ticket = await ticket_of(daemon)
    rewrite(daemon, "UPDATE messages SET type = 'unsupported', content = ?", OLDER)
    dry = replay(daemon, "--journal", "--since", "1h", "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert "message 3EB0A of Cliente 7777\n" in dry.stdout
    assert f'    content: "{OLDER}" -> "Olá"\n' in dry.stdout
    assert "webhooks read again: 1\nmessages changed: 1\n" in dry.stdout
    assert dry.stdout.endswith("Nothing was changed: this is what it would do.\n")
    assert [one["content"] for one in await messages_of(daemon, ticket)] == [OLDER]
    done = replay(daemon, "--journal", "--since", "1h")
    assert (done.returncode, done.stdout) == (0, "webhooks read again: 1\nmessages changed: 1\n")
    (message,) = await messages_of(daemon, ticket)
    assert (message["type"], message["content"]) == ("text", "Olá")
    assert (await get(daemon, f"/v1/tickets/{ticket}"))["last_message"] == "Olá"
    assert "nothing is different\n" in replay(daemon, "--journal", "--since", "1h").stdout
    again = json.loads(replay(daemon, "--journal", "--since", "1h", "--json").stdout)
    assert again == {"dry_run": False, "entries": 1, "counts": {}, "differences": []}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--journal"], "--journal needs --since; write --since 2h, or a time"),
        (["--journal", "--since", "1h", "--all"], "--journal goes with --since, --until"),
        (["ID", "--all"], "give IDs or a choice, not both"),
        (["--since", "yesterday"], "is no moment; write 2h, 7d, or 2026-11-22T08:00:00-03:00"),
        (["--until", "2026-11-22T08:00:00"], "lacks its time zone"),
    ],
)
def test_unusable_arguments_are_two(tmp_path: Path, arguments: list[str], message: str) -> None:
    result = replay(Daemon(tmp_path / "state"), *arguments)
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert message in line


def test_a_daemon_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    result = replay(Daemon(tmp_path / "state"), "--all")
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("evorelay: the daemon at 127.0.0.1:")
    assert line.endswith("start it with `systemctl start evorelay`, or `evorelay serve`")
