"""What stands on the disk, and what happens when there is no room left on it."""

import json
import stat
from pathlib import Path

import trio

from tests.support.agent import signed_in
from tests.support.daemon import JWT_SECRET, WEBHOOK_SECRET, Daemon, running, token
from tests.support.http import ask
from tests.support.posting import get, handled, post_text, ticket_of
from tests.support.webhooks import API_KEY, PATH, as_body, text_message

NO_DISK_HAS = str(1 << 52)
GLOBAL_KEY = "GLOBAL-KEY-OF-EVOLUTION-0123456789"


async def test_webhooks_are_shed_below_the_watermark(tmp_path: Path) -> None:
    """503 and Retry-After, which Evolution retries; reading what is there goes on."""
    with running(tmp_path / "state") as daemon:
        await post_text(daemon, "FIRST", "oi")
        ticket = await ticket_of(daemon)
        assert await trio.to_thread.run_sync(daemon.terminate) == 0
        daemon.settings["WEBHOOK__MIN_FREE_BYTES"] = NO_DISK_HAS
        await trio.to_thread.run_sync(daemon.start)
        refused = await ask(daemon, "POST", PATH, as_body(text_message("SECOND", "oi")))
        assert refused.status == 503
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.json["error"]["code"] == "unavailable"
        assert (await ask(daemon, "GET", "/readyz")).status == 503
        health = await ask(daemon, "GET", "/webhook/health")
        assert (health.status, health.json["status"]) == (503, "fail")
        assert (await ask(daemon, "GET", "/livez")).status == 200
        assert len((await get(daemon, f"/v1/tickets/{ticket}/messages"))["messages"]) == 1


async def test_no_secret_is_written_anywhere(daemon: Daemon) -> None:
    """P7: not in the journal, the store, a blob or the log; by any of the ways in."""
    credential = token("ana", name="Ana")
    await post_text(daemon, "PLAIN", "oi")
    await _post_in_every_shape(daemon)
    await ask(daemon, "POST", PATH + "x", b"{}")
    await ask(daemon, "POST", PATH, b"not json " + API_KEY.encode())
    await ask(daemon, "GET", f"{PATH}?token={credential}", Authorization=f"Bearer {credential}")
    await ask(daemon, "GET", f"/v1/tickets?apikey={API_KEY}", Authorization=f"Bearer {credential}")
    async with signed_in(daemon, credential) as agent:
        await agent.send_text(json.dumps({"id": 9, "connect": {"token": credential}}))
        await agent.closed()
    await handled(daemon)
    secrets = [API_KEY, GLOBAL_KEY, WEBHOOK_SECRET, JWT_SECRET, credential]
    while_running = _files_with(secrets, daemon)
    assert await trio.to_thread.run_sync(daemon.terminate) == 0
    assert (while_running, _files_with(secrets, daemon)) == ([], [])


async def _post_in_every_shape(daemon: Daemon) -> None:
    """Small, large, spilled, nested, broken by a surrogate, too deep: each a path of its own."""
    media = {"message": {"imageMessage": {"mimetype": "image/jpeg"}, "base64": "QUJD" * 300_000}}
    large = text_message("MEDIA", "foto")
    large["data"] |= media | {"messageType": "imageMessage"}
    spilled = text_message("SPILLED", "x" * 3_000_000)
    nested = text_message("NESTED", "oi", again={"apikey": API_KEY, "list": [{"api_key": API_KEY}]})
    error = {"event": "webhook.error", "instance": "loja-centro", "api_key": GLOBAL_KEY}
    for webhook in (large, spilled, nested, error, {"event": "unheard.of", "apikey": API_KEY}):
        reply = await ask(daemon, "POST", PATH, as_body(webhook))
        assert reply.status == 200, reply
    half_an_emoji = as_body(text_message("SURROGATE", "CUT")).replace(b"CUT", rb"\ud83d")
    assert (await ask(daemon, "POST", PATH, half_an_emoji)).status == 200
    deep = b'{"apikey":"%s","deep":%s%s}' % (API_KEY.encode(), b"[" * 50_000, b"]" * 50_000)
    assert (await ask(daemon, "POST", PATH, deep)).status == 200


def _files_with(secrets: list[str], daemon: Daemon) -> list[str]:
    files = [path for path in daemon.state_dir.rglob("*") if path.is_file()]
    assert len(files) > 2, "there should be a journal and a store to look at"
    found = []
    for path in [*files, daemon.log_file]:
        content = path.read_bytes()
        found += [f"{path.name}: {s[:6]}…" for s in secrets if s.encode() in content]
    return found


async def test_generated_secrets_are_kept_in_one_private_file(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "state")
    del daemon.settings["WEBHOOK__SECRET"], daemon.settings["AUTH__JWT_SECRET"]
    try:
        ready = json.dumps(await trio.to_thread.run_sync(daemon.start))
        kept = daemon.state_dir / "secrets.json"
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
        secrets = [value for value in json.loads(kept.read_text()).values() if value]
        assert len(secrets) >= 2
        assert [secret for secret in secrets if secret in ready] == []
        assert {found.partition(":")[0] for found in _files_with(secrets, daemon)} == {
            "secrets.json"
        }
    finally:
        daemon.kill()
