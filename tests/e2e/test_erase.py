"""``evorelay erase`` as an operator runs it: beside the daemon, and without one."""

import json
import subprocess
import sys
import time
from base64 import b64encode
from pathlib import Path

import trio
from backports import zstd

from tests.support.agent import signed_in
from tests.support.daemon import Daemon, running
from tests.support.http import ask
from tests.support.posting import get, handled
from tests.support.webhooks import PATH, as_body, text_message

PHONE = "5531977776666"
WORD = "jabuticabeira"


def run(daemon: Daemon, *args: str, status: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "evorelay", *args],
        env=daemon.environ(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout if status == 0 else done.stderr


async def command(daemon: Daemon, *args: str, status: int = 0) -> str:
    return await trio.to_thread.run_sync(lambda: run(daemon, *args, status=status))


SENT_AT = int(time.time()) - 60


async def post(daemon: Daemon, whatsapp_id: str, text: str, phone: str = PHONE) -> None:
    webhook = text_message(whatsapp_id, text, phone=phone, sent_at=SENT_AT)
    assert (await ask(daemon, "POST", PATH, as_body(webhook))).status == 200


def holding(daemon: Daemon, *words: str) -> list[str]:
    files = [path for path in daemon.state_dir.rglob("*") if path.is_file()]
    assert len(files) > 2
    files.append(daemon.log_file)
    return [
        f"{path.name}: {word}"
        for path in files
        for word in words
        if word.encode() in path.read_bytes()
    ]


async def test_a_person_is_erased_while_agents_work(tmp_path: Path) -> None:
    """No byte of them stays in the state directory or the log; others do, and webhooks go on."""
    with running(tmp_path / "state") as daemon:
        for number in range(20):
            await post(daemon, f"A{number}", f"{WORD} {number}")
        photo = b64encode(WORD.encode() * 50_000).decode()
        webhook = text_message("PHOTO", "", phone=PHONE, sent_at=SENT_AT)
        webhook["data"]["message"] = {"imageMessage": {"mimetype": "image/png"}, "base64": photo}
        webhook["data"]["messageType"] = "imageMessage"
        assert (await ask(daemon, "POST", PATH, as_body(webhook))).status == 200
        await post(daemon, "B1", "bom dia", "5511955554444")
        await handled(daemon)
        assert holding(daemon, PHONE, WORD)
        rehearsed = json.loads(await command(daemon, "erase", "--phone", PHONE, "--json"))
        assert (rehearsed["dry_run"], rehearsed["messages"]) == (True, 21)
        assert len((await get(daemon, "/v1/tickets"))["tickets"]) == 2
        said = await command(daemon, "erase", "--phone", "+55 (31) 97777-6666", "--yes")
        assert "21 messages" in said
        assert "backups" in said
        assert holding(daemon, PHONE, WORD, photo[:64]) == []
        [left] = (await get(daemon, "/v1/tickets"))["tickets"]
        assert left["contact"]["phone"] == "5511955554444"
        await post(daemon, "A3", f"{WORD} late")  # Evolution repeats itself: it is not told anew
        await post(daemon, "B2", "ainda aqui", "5511955554444")
        await handled(daemon)
        assert len((await get(daemon, "/v1/tickets"))["tickets"]) == 1
        unknown = await command(daemon, "erase", "--phone", "5521900001111", "--yes", status=1)
        assert "nothing is kept of such a person" in unknown


async def test_a_person_is_erased_from_a_store_that_nobody_serves(tmp_path: Path) -> None:
    with running(tmp_path / "state") as daemon:
        await post(daemon, "A1", WORD)
        await post(daemon, "B1", "bom dia", "5511955554444")
        await handled(daemon)
        assert await trio.to_thread.run_sync(daemon.terminate) == 0
        done = json.loads(await command(daemon, "erase", "--phone", PHONE, "--yes", "--json"))
        assert (done["messages"], done["compacted"]) == (1, True)
        assert holding(daemon, PHONE, WORD) == []
        again = json.loads(await command(daemon, "erase", "--phone", PHONE, "--yes", "--json"))
        assert (again["messages"], again["compacted"]) == (0, True)
        await trio.to_thread.run_sync(daemon.start)
        assert len((await get(daemon, "/v1/tickets"))["tickets"]) == 1


async def test_whom_is_said_exactly(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "state")
    assert "exactly one of --phone and --contact" in await command(daemon, "erase", status=2)
    assert "--phone: a phone number" in await command(daemon, "erase", "--phone", "abc", status=2)


async def test_where_there_is_no_store_none_is_made(tmp_path: Path) -> None:
    """A mistyped ``state_dir`` is found out."""
    daemon = Daemon(tmp_path / "state")
    for name in ("erase", "export"):
        out = ("--out", str(tmp_path / "out")) if name == "export" else ()
        said = await command(daemon, name, "--phone", PHONE, *out, status=2)
        assert "is state_dir the daemon's?" in said
    assert not daemon.state_dir.exists()


async def test_a_backup_put_back_does_not_bring_the_person_back(tmp_path: Path) -> None:
    """Nor does the next start, which reads the journal again."""
    with running(tmp_path / "state") as daemon:
        await post(daemon, "A1", WORD)
        await post(daemon, "B1", "bom dia", "5511955554444")
        await handled(daemon)
        await command(daemon, "backup", "now")
        await command(daemon, "erase", "--phone", PHONE, "--yes")
        assert await trio.to_thread.run_sync(daemon.terminate) == 0
        for path in daemon.state_dir.glob("store.db*"):
            path.unlink()
        assert "now again: 1" in await command(daemon, "backup", "restore")
        await trio.to_thread.run_sync(daemon.start)
        await handled(daemon)
        [left] = (await get(daemon, "/v1/tickets"))["tickets"]
        assert left["contact"]["phone"] == "5511955554444"
        assert len((await get(daemon, f"/v1/tickets/{left['id']}/messages"))["messages"]) == 1


async def test_a_restore_that_was_cut_off_brings_nobody_back_either(tmp_path: Path) -> None:
    """Nor a copy of a backup that somebody puts in place by hand: the next start looks."""
    with running(tmp_path / "state") as daemon:
        await post(daemon, "A1", WORD)
        await post(daemon, "B1", "bom dia", "5511955554444")
        await handled(daemon)
        made = json.loads(await command(daemon, "backup", "now", "--json"))
        await command(daemon, "erase", "--phone", PHONE, "--yes")
        assert await trio.to_thread.run_sync(daemon.terminate) == 0
        for path in daemon.state_dir.glob("store.db*"):
            path.unlink()
        packed = Path(made["path"], "store.db.zst").read_bytes()
        (daemon.state_dir / "store.db").write_bytes(zstd.decompress(packed))
        await trio.to_thread.run_sync(daemon.start)
        await handled(daemon)
        [left] = (await get(daemon, "/v1/tickets"))["tickets"]
        assert left["contact"]["phone"] == "5511955554444"
        assert holding(daemon, PHONE, WORD) == []


async def test_an_erasure_that_was_cut_off_is_finished_by_the_same_request(tmp_path: Path) -> None:
    """Their rows are gone, but not yet what the databases have of them in free space."""
    with running(tmp_path / "state") as daemon:
        await post(daemon, "A1", WORD)
        await handled(daemon)
        await command(daemon, "erase", "--phone", PHONE, "--yes")
        again = json.loads(await command(daemon, "erase", "--phone", PHONE, "--yes", "--json"))
        assert (again["messages"], again["compacted"]) == (0, True)


async def test_clients_are_told_and_find_no_hole(tmp_path: Path) -> None:
    """P3: who is connected hears of it; who comes back gets every offset, and not a word."""
    with running(tmp_path / "state") as daemon:
        for number in range(5):
            await post(daemon, f"A{number}", f"{WORD} {number}")
        await post(daemon, "B1", "bom dia", "5511955554444")
        await handled(daemon)
        inbox = "inbox:loja-centro"
        async with signed_in(daemon) as agent:
            joined = (await agent.ask(subscribe={"channel": inbox}))["subscribe"]
            await command(daemon, "erase", "--phone", PHONE, "--yes")
            with trio.fail_after(30):
                told = await agent.event()
            assert (told.data["type"], told.offset) == ("ticket.erased", joined["offset"] + 1)
        async with signed_in(daemon) as late:
            since = {"recover": True, "offset": 1, "epoch": joined["epoch"]}
            found = (await late.ask(subscribe={"channel": inbox, **since}))["subscribe"]
            assert found["recovered"]
            offsets = [publication["offset"] for publication in found["publications"]]
            assert offsets == list(range(2, joined["offset"] + 2))
            assert WORD not in json.dumps(found)
            assert PHONE not in json.dumps(found)


async def test_who_wrote_anew_gets_nothing_of_before_from_a_backup(tmp_path: Path) -> None:
    """Merged into the store: no webhook that was not understood, no id they have not shown again,
    no conversation; what they wrote since stays."""
    lid = "98765432109876@lid"
    with running(tmp_path / "state") as daemon:
        webhook = text_message("A1", WORD, phone=PHONE, sent_at=SENT_AT)
        webhook["data"]["key"] |= {
            "remoteJid": lid,
            "remoteJidAlt": webhook["data"]["key"]["remoteJid"],
        }
        assert (await ask(daemon, "POST", PATH, as_body(webhook))).status == 200
        odd = text_message("A2", "", phone=PHONE, sent_at=SENT_AT)
        odd["data"]["message"] = WORD
        assert (await ask(daemon, "POST", PATH, as_body(odd))).status == 200
        await post(daemon, "B1", "bom dia", "5511955554444")
        await handled(daemon)
        await command(daemon, "backup", "now")
        await command(daemon, "erase", "--phone", PHONE, "--yes")
        anew = text_message("A3", "voltei", phone=PHONE, sent_at=int(time.time()) + 2)
        assert (await ask(daemon, "POST", PATH, as_body(anew))).status == 200
        await handled(daemon)
        assert await trio.to_thread.run_sync(daemon.terminate) == 0
        assert "now again: 1" in await command(daemon, "backup", "restore")
        assert holding(daemon, WORD, lid.partition("@")[0]) == []
        assert "faults" not in await command(daemon, "fsck")
        await command(daemon, "backup", "restore")
        await trio.to_thread.run_sync(daemon.start)
        await handled(daemon)
        tickets = (await get(daemon, "/v1/tickets"))["tickets"]
        assert {ticket["last_message"] for ticket in tickets} == {"voltei", "bom dia"}
        assert holding(daemon, WORD, lid.partition("@")[0]) == []
