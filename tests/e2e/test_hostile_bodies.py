"""Webhook bodies nobody should send: each answered as contract §3 says, nothing lost or grown."""

import contextlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trio

from tests.e2e.neighbour import neighbour
from tests.support.daemon import Daemon, running, token
from tests.support.http import ask, connected, request
from tests.support.posting import handled, messages_of, post_text, ticket_of
from tests.support.webhooks import PATH, as_body, text_message

DEEP = 100_000
MIB = 1024 * 1024
CHUNKED = b"Transfer-Encoding: chunked"
SUPERVISOR = token("sonia", role="supervisor")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"hello", id="text"),
        pytest.param(b"{", id="cut-off"),
        pytest.param(b'{"event":"messages.upsert"} {}', id="two-documents"),
        pytest.param(b"[]", id="array"),
        pytest.param(b'"text"', id="string"),
        pytest.param(b"null", id="null"),
        pytest.param(b'{"a":NaN}', id="nan"),
        pytest.param(b'{"a":Infinity}', id="infinity"),
        pytest.param(b'{"a":"\x01"}', id="control-character"),
        pytest.param(b"[" * DEEP + b"]" * DEEP, id="deep-array"),
        pytest.param(b"event=messages.upsert", id="form"),
        pytest.param(b"\x1f\x8b\x08\x00", id="gzip"),
    ],
)
async def test_what_is_no_json_object_is_400(shared_daemon: Daemon, body: bytes) -> None:
    async with connected(shared_daemon) as connection:
        reply = await connection.ask("POST", PATH, body)
        assert reply.status == 400
        assert reply.json["error"]["code"] == "not_json"
        assert (await connection.ask("POST", PATH, b"{}")).status == 200


async def test_odd_objects_are_kept(daemon: Daemon) -> None:
    """P1: a JSON object is answered 200 however odd, and found again in quarantine."""
    odd = [
        b'{"event":"messages.upsert","instance":"a","data":%s%s}' % (b"[" * DEEP, b"]" * DEEP),
        b'{"event":"messages.upsert","data":%s1%s}' % (b'{"a":' * DEEP, b"}" * DEEP),
        b'{"event":5,"instance":[]}',
        b'{"event":"messages.upsert","instance":"a","data":null}',
        b'{"event":"messages.upsert","instance":"a","data":"\xff\xfe"}',
    ]
    async with neighbour(daemon):
        seqs = [(await ask(daemon, "POST", PATH, body)).json["seq"] for body in odd]
        assert seqs == sorted(set(seqs))
    await handled(daemon)
    reply = await ask(daemon, "GET", "/v1/quarantine", Authorization=f"Bearer {SUPERVISOR}")
    assert sorted(entry["seq"] for entry in reply.json["quarantine"]) == seqs


async def test_an_object_without_an_event_is_received(daemon: Daemon) -> None:
    assert (await ask(daemon, "POST", PATH, b"{}")).status == 200
    await post_text(daemon, "AFTER", "oi")
    await ticket_of(daemon)


async def test_duplicate_keys_hide_no_message_and_no_secret(daemon: Daemon) -> None:
    """The last of two equal keys counts, as in JavaScript; the first one's secret is gone too."""
    body = as_body(text_message("TWICE", "oi"))
    doubled = b'{"apikey":"first","data":{"apikey":"first"},' + body[1:]
    assert (await ask(daemon, "POST", PATH, doubled)).status == 200
    messages = await messages_of(daemon, await ticket_of(daemon))
    assert [message["whatsapp_id"] for message in messages] == ["TWICE"]


async def test_a_lone_surrogate_becomes_a_replacement_character(daemon: Daemon) -> None:
    """JavaScript cuts emoji in two, and then writes half a pair; the message must arrive."""
    for number, half in enumerate((rb"\ud83d", rb"\ude00", rb"\ude00\ud83d")):
        body = as_body(text_message(f"HALF{number}", "antes CUT depois")).replace(b"CUT", half)
        assert (await ask(daemon, "POST", PATH, body)).status == 200
    await handled(daemon)
    contents = [m["content"] for m in await messages_of(daemon, await ticket_of(daemon))]
    assert contents == ["antes \ufffd depois", "antes \ufffd depois", "antes \ufffd\ufffd depois"]


async def test_nul_and_bidi_characters_arrive_harmless(daemon: Daemon) -> None:
    await post_text(daemon, "NUL", "an\x00tes \u202edepois")
    [message] = await messages_of(daemon, await ticket_of(daemon))
    assert message["content"] == "antes \u202edepois"


@pytest.mark.parametrize(
    ("phone", "when"),
    [
        pytest.param("553188880001", str(1 << 63), id="2^63"),
        pytest.param("553188880002", str(-(1 << 63)), id="-2^63"),
        pytest.param("553188880003", "1e400", id="infinite"),
        pytest.param("553188880004", "9" * 400, id="400-digits"),
        pytest.param("553188880005", '"yesterday"', id="word"),
        pytest.param("553188880006", "null", id="null"),
        pytest.param("553188880007", '{"low":-1,"high":2147483647}', id="long-object"),
    ],
)
async def test_a_senseless_timestamp_is_replaced_by_the_arrival(
    shared_daemon: Daemon, phone: str, when: str
) -> None:
    webhook = text_message(phone, "oi", phone=phone)
    webhook["data"]["messageTimestamp"] = "WHEN-IT-WAS"
    body = as_body(webhook).replace(b'"WHEN-IT-WAS"', when.encode())
    assert (await ask(shared_daemon, "POST", PATH, body)).status == 200
    [message] = await messages_of(shared_daemon, await ticket_of(shared_daemon, phone))
    created = datetime.fromisoformat(message["created_at"])
    assert abs(datetime.now(UTC) - created) < timedelta(minutes=1)


@pytest.mark.parametrize("content_type", ["text/plain", "application/xml; charset=utf-16"])
async def test_the_content_type_is_not_examined(shared_daemon: Daemon, content_type: str) -> None:
    body = as_body(text_message(content_type, "oi"))
    async with connected(shared_daemon) as connection:
        await connection.send(request("POST", PATH, body, {"Content-Type": content_type}))
        reply = await connection.read_reply()
    assert reply is not None
    assert reply.status == 200


async def test_100_mb_of_media_cost_little_memory(daemon: Daemon) -> None:
    """P5: streamed to disk as it comes; neighbours are served meanwhile."""
    async with neighbour(daemon) as healthy, connected(daemon) as evolution:
        webhook = text_message("HUGE", "")
        webhook["data"]["messageType"] = "videoMessage"
        webhook["data"]["message"] = {
            "videoMessage": {"mimetype": "video/mp4", "caption": "o vídeo"},
            "base64": "MEDIA",
        }
        before, after = as_body(webhook).split(b"MEDIA")
        piece, pieces = b"QUJD" * (MIB // 4), 100
        head = request("POST", PATH)[: -len("Content-Length: 0\r\n\r\n")]
        length = len(before) + pieces * len(piece) + len(after)
        daemon.reset_peak_rss()
        resting = daemon.rss_mib()
        await evolution.send(head + f"Content-Length: {length}\r\n\r\n".encode() + before)
        for number in range(pieces):
            await evolution.send(piece)
            if number == pieces // 2:
                await healthy.notices_nothing()
        await evolution.send(after)
        reply = await evolution.read_reply()
        assert reply is not None
        assert reply.status == 200, reply
        assert daemon.peak_rss_mib() - resting < 32
    [message] = await messages_of(daemon, await ticket_of(daemon))
    assert (message["type"], message["content"]) == ("video", "o vídeo")
    assert message["media"]["size"] == pieces * len(piece) * 3 // 4


async def test_too_large_is_said_before_it_is_read(tmp_path: Path) -> None:
    """413 from ``Content-Length`` alone: Evolution sends it ten times, so each must be cheap."""
    with running(tmp_path / "state", WEBHOOK__MAX_BODY_BYTES="1MiB") as daemon:
        async with neighbour(daemon), connected(daemon) as connection:
            head = request("POST", PATH).replace(b"Length: 0", b"Length: %d" % (MIB + 1))
            await connection.send(head)
            reply = await connection.read_reply()
            assert reply is not None
            assert (reply.status, reply.json["error"]["code"]) == (413, "too_large")
            assert await connection.is_closed()


async def test_an_endless_chunked_body_is_cut_off(tmp_path: Path) -> None:
    """A body that names no length is refused when it passes the limit, and nothing is kept."""
    with running(tmp_path / "state", WEBHOOK__MAX_BODY_BYTES="1MiB") as daemon:
        async with neighbour(daemon), connected(daemon) as connection:
            head = request("POST", PATH).replace(b"Content-Length: 0", CHUNKED)
            chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"

            async def send_for_ever() -> None:
                with contextlib.suppress(trio.BrokenResourceError):
                    await connection.send(head + b"a\r\n" + b'{"event":"' + b"\r\n")
                    while True:
                        await connection.send(chunk)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(send_for_ever)
                with trio.fail_after(30):
                    reply = await connection.read_reply()
                nursery.cancel_scope.cancel()
            assert reply is not None
            assert (reply.status, reply.json["error"]["code"]) == (413, "too_large")
        assert [path for path in (daemon.state_dir / "blobs").rglob("*") if path.is_file()] == []
