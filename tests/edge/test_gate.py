"""The gate on a real port: which way each request goes, and what the sender is told."""

import contextlib
import os
import socket
import ssl
import struct
import time
from pathlib import Path

import pytest
import trio
import trio.testing

from evorelay.edge.answering import CODES, REASONS
from evorelay.edge.inbound import LAST_WORD_S
from tests.certificates import self_signed
from tests.edge.harness import HOOK, Client, numbers, open_port, post, request, until, webhook


async def test_a_webhook_is_answered_when_it_is_journaled(tmp_path: Path) -> None:
    """P1: the answer's seq is an entry that can be read back."""
    async with open_port(tmp_path) as port, await port.connect() as client:
        answer = await client.call(post(7))
        assert answer.status == 200
        assert answer.json == {
            "received": True,
            "seq": 1,
            "event": "test.number",
            "instance": "a",
        }
        assert answer.headers == {
            "content-type": "application/json",
            "content-length": str(len(answer.body)),
        }
        assert numbers(port) == [7]


async def test_one_connection_carries_many_webhooks(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port, await port.connect() as client:
        seqs = [(await client.call(post(n))).json["seq"] for n in range(20)]
        assert seqs == list(range(1, 21))


async def test_pipelined_webhooks_are_answered_in_order(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port, await port.connect() as client:
        await client.send(b"".join(post(n) for n in range(50)))
        assert [(await client.answer()).json["seq"] for _ in range(50)] == list(range(1, 51))
        assert numbers(port) == list(range(50))


async def test_one_connection_mixes_webhooks_and_other_requests(tmp_path: Path) -> None:
    """Everything in one segment: each request finds its way, each answer its place."""
    async with open_port(tmp_path) as port, await port.connect() as client:
        await client.send(
            post(1) + request("/hello") + post(2) + request("/echo", b"abc") + post(3)
        )
        bodies = [(await client.answer()).body for _ in range(5)]
        assert bodies[1] == b"hello"
        assert bodies[3] == b"abc"
        assert numbers(port) == [1, 2, 3]


async def test_bytes_may_come_one_by_one(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port, await port.connect() as client:
        for byte in post(1) + b"\r\n" + request("/echo", b"abc") + post(2):
            await client.send(bytes([byte]))
        assert [(await client.answer()).status for _ in range(3)] == [200, 200, 200]
        assert numbers(port) == [1, 2]


@pytest.mark.parametrize("empty_lines", [b"\r\n", b"\r\n\r\n", b"\r", b"\n"])
async def test_empty_lines_before_a_request_are_skipped(tmp_path: Path, empty_lines: bytes) -> None:
    """RFC 9112 §2.2; some clients send one behind a body."""
    async with open_port(tmp_path, header_timeout=0.05) as port, await port.connect() as client:
        await client.call(post(1))
        await client.send(empty_lines)
        await trio.sleep(0.1)  # longer than a head may take: an empty line begins none
        assert (await client.call(post(2) + empty_lines + post(3))).status == 200
        assert (await client.answer()).status == 200


async def test_a_webhook_upgrade_request_and_websocket_share_a_connection(
    tmp_path: Path,
) -> None:
    """A proxy may send an upgrade down a connection that served other things before."""
    async with open_port(tmp_path) as port, await port.connect() as client:
        assert (await client.call(request("/hello"))).body == b"hello"
        assert (await client.call(post(1))).status == 200
        assert (await client.call(upgrade())).status == 101


def upgrade(*headers: str, target: str = "/connection/websocket", version: int = 13) -> bytes:
    return request(
        target,
        None,
        "Upgrade: websocket",
        "Connection: keep-alive, Upgrade",
        f"Sec-WebSocket-Version: {version}",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        *headers,
    )


@pytest.mark.parametrize(
    ("target", "header", "status"),
    [
        (HOOK, None, 200),
        (f"{HOOK}/messages-upsert?a=b", None, 200),
        (f"http://relay{HOOK}", None, 200),
        ("/hook/wrong", None, 401),
        ("/webhook/evolution", None, 401),
        ("/webhook/evolution", f"X-Webhook-Secret: {HOOK[6:]}", 200),
        ("/webhook/evolution/call", f"Authorization: Bearer {HOOK[6:]}", 200),
        ("/messages-upsert", f"Authorization: Bearer {HOOK[6:]}", 200),
        (f"/webhook/evolution?secret={HOOK[6:]}", None, 401),
    ],
)
async def test_the_credential_decides(
    tmp_path: Path, target: str, header: str | None, status: int
) -> None:
    """P7: nothing is journaled without a credential, wherever it is expected."""
    async with open_port(tmp_path) as port, await port.connect() as client:
        answer = await client.call(request(target, webhook(), *([header] if header else [])))
        assert answer.status == status
        assert len(numbers(port)) == (status == 200)


async def test_a_wrong_secret_is_refused_before_the_body_is_read(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port, await port.connect() as client:
        head = request("/hook/wrong", None, "Content-Length: 1000", method="POST")
        answer = await client.call(head)
        assert (answer.status, answer.closes) == (401, True)
        assert answer.json["error"]["code"] == "unauthorized"
        assert await client.is_ended()


async def test_a_body_too_large_is_refused_before_it_is_read(tmp_path: Path) -> None:
    async with open_port(tmp_path, webhook={"max_body_bytes": 4096}) as port:
        async with await port.connect() as client:
            head = request(HOOK, None, "Content-Length: 4097", method="POST")
            answer = await client.call(head)
            assert (answer.status, answer.closes) == (413, True)
            assert answer.json["error"]["code"] == "too_large"
            assert await client.is_ended()


async def test_a_sender_in_the_middle_of_a_large_body_still_reads_the_refusal(
    tmp_path: Path,
) -> None:
    """Closing with unread bytes would reset the connection and destroy the answer."""
    async with open_port(tmp_path, webhook={"max_body_bytes": 4096}) as port:
        async with await port.connect() as client:
            body = bytes(4 * 1024 * 1024)
            await client.send(request(HOOK, body))  # all of it before the answer is read
            assert (await client.answer()).status == 413
            assert await client.is_ended()


async def test_what_cannot_be_journaled_may_be_sent_again_on_the_same_connection(
    tmp_path: Path,
) -> None:
    """P5: shed at the door; Evolution retries a 503."""
    async with open_port(tmp_path) as port, await port.connect() as client:
        port.free_bytes = 0
        port.journal.check_disk()
        answer = await client.call(post(1))
        assert (answer.status, answer.closes) == (503, False)
        assert answer.headers["retry-after"] == "5"
        port.free_bytes = 1 << 40
        port.journal.check_disk()
        assert (await client.call(post(2))).status == 200
        assert numbers(port) == [2]


async def test_a_body_that_is_not_json_leaves_the_connection_usable(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port, await port.connect() as client:
        for body in (b"", b"nope", b"[]", b'"x"', b'{"a":NaN}', b"\x00" * 9, b"\xff\xfe"):
            answer = await client.call(request(HOOK, body))
            assert (answer.status, answer.json["error"]["code"]) == (400, "not_json"), body
        assert (await client.call(post(1))).status == 200


HEAD = "POST " + HOOK + " HTTP/1.1\r\nHost: relay\r\n"
HOSTILE = {
    "CL and TE": HEAD + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
    "TE and CL": HEAD + "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n{}",
    "two CL": HEAD + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "two equal CL": HEAD + "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    "CL list": HEAD + "Content-Length: 2, 2\r\n\r\n{}",
    "signed CL": HEAD + "Content-Length: +2\r\n\r\n{}",
    "negative CL": HEAD + "Content-Length: -2\r\n\r\n{}",
    "hexadecimal CL": HEAD + "Content-Length: 0x2\r\n\r\n{}",
    "empty CL": HEAD + "Content-Length:\r\n\r\n{}",
    "CL beyond 64 bits": HEAD + "Content-Length: 18446744073709551617\r\n\r\n{}",
    "TE gzip": HEAD + "Transfer-Encoding: gzip, chunked\r\n\r\n",
    "TE twice": HEAD + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
    "TE unknown": HEAD + "Transfer-Encoding: xchunked\r\n\r\n",
    "TE in 1.0": HEAD.replace("1.1", "1.0") + "Transfer-Encoding: chunked\r\n\r\n",
    "bare LF": HEAD.replace("\r\n", "\n") + "Content-Length: 2\n\n{}",
    "one bare LF": HEAD + "A: b\nContent-Length: 2\r\n\r\n{}",
    "bare CR": HEAD + "A: b\rContent-Length: 2\r\n\r\n{}",
    "folded line": HEAD + "A: b\r\n Content-Length: 2\r\n\r\n{}",
    "space before colon": HEAD + "Content-Length : 2\r\n\r\n{}",
    "line without a name": HEAD + ": 2\r\n\r\n{}",
    "NUL in a value": HEAD + "A: b\0c\r\n\r\n",
    "NUL in the target": "GET /\0 HTTP/1.1\r\nHost: relay\r\n\r\n",
    "two hosts": HEAD + "Host: other\r\nContent-Length: 2\r\n\r\n{}",
    "no host": "GET /hello HTTP/1.1\r\n\r\n",
    "unknown method": "FETCH /hello HTTP/1.1\r\nHost: relay\r\n\r\n",
    "small letters": "get /hello HTTP/1.1\r\nHost: relay\r\n\r\n",
    "authority form": "CONNECT other:443 HTTP/1.1\r\nHost: relay\r\n\r\n",
    "not ASCII": "GET /é HTTP/1.1\r\nHost: relay\r\n\r\n",
    "a TLS greeting": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "NULs": "\0" * 64,
}


@pytest.mark.parametrize("shape", HOSTILE)
async def test_what_two_parsers_might_read_differently_is_refused(
    tmp_path: Path, shape: str
) -> None:
    """A clear 400 and the end, whatever is smuggled behind; a neighbour notices nothing."""
    async with open_port(tmp_path) as port:
        async with await port.connect() as neighbour, await port.connect() as client:
            await client.send(HOSTILE[shape].encode("latin-1") + post(66))
            answer = await client.answer()
            assert (answer.status, answer.closes) == (400, True)
            assert answer.json["error"]["code"] == "bad_request"
            assert await client.is_ended()
            assert (await neighbour.call(post(1))).status == 200
            assert numbers(port) == [1]


@pytest.mark.parametrize(
    "head",
    [
        b"GET /hello\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /hello HTTP/0.9\r\nHost: a\r\n\r\n",
    ],
)
async def test_other_versions_of_http_are_refused(tmp_path: Path, head: bytes) -> None:
    async with open_port(tmp_path) as port, await port.connect() as client:
        answer = await client.call(head)
        assert (answer.status, answer.json["error"]["code"]) in (
            (400, "bad_request"),
            (505, "http_version_not_supported"),
        )
        assert await client.is_ended()


async def test_an_offer_of_http_2_is_ignored(tmp_path: Path) -> None:
    offer = ("Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABk")
    async with open_port(tmp_path) as port, await port.connect() as client:
        assert (await client.call(request("/hello", None, *offer))).body == b"hello"
        assert (await client.call(post(1, *offer))).status == 200
        assert numbers(port) == [1]


async def test_a_head_without_end_is_cut_off_at_its_limit(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port, await port.connect() as client:
        await client.send(b"GET / HTTP/1.1\r\nHost: relay\r\nA: " + b"x" * 40_000)
        answer = await client.answer()
        assert answer.status == 431
        assert answer.json["error"]["code"] == "request_header_fields_too_large"
        assert await client.is_ended()


def test_every_refusal_of_the_gate_is_in_the_table_of_errors() -> None:
    """So that OpenAPI's list of codes is complete."""
    assert all(code.http_status == status for status, code in CODES.items())
    assert CODES.keys() <= REASONS.keys()


async def test_many_headers_within_the_limit_are_welcome(tmp_path: Path) -> None:
    headers = [f"X-{n}: {'y' * 50}" for n in range(450)]
    async with open_port(tmp_path) as port, await port.connect() as client:
        assert (await client.call(post(1, *headers))).status == 200
        assert (await client.call(request("/hello", None, *headers))).status == 200


async def test_a_head_that_drips_is_given_up(tmp_path: Path) -> None:
    """Slowloris: progress buys no time."""
    async with open_port(tmp_path, header_timeout=0.2) as port:
        async with await port.connect() as client, trio.open_nursery() as nursery:

            async def drip() -> None:
                with contextlib.suppress(trio.BrokenResourceError):
                    for byte in request("/hello") * 20:
                        await client.send(bytes([byte]))
                        await trio.sleep(0.02)

            nursery.start_soon(drip)
            with trio.fail_after(30):
                answer = await client.answer()
            assert (answer.status, answer.closes) == (408, True)
            assert answer.json["error"]["code"] == "request_timeout"
            assert "head" in answer.json["error"]["message"]
            nursery.cancel_scope.cancel()


async def test_an_idle_connection_is_closed_without_a_word(tmp_path: Path) -> None:
    async with open_port(tmp_path, idle_timeout=0.1) as port:
        async with await port.connect() as silent, await port.connect() as used:
            await used.call(post(1))
            await used.call(request("/hello"))
            with trio.fail_after(30):
                assert await silent.is_ended()
                assert await used.is_ended()
            await until(lambda: port.gate.connections == 0)


@pytest.mark.parametrize("kind", ["hot", "large", "chunked"])
async def test_a_body_that_stops_is_given_up(tmp_path: Path, kind: str) -> None:
    length = {"hot": "Content-Length: 100", "large": "Content-Length: 300000"}
    header = length.get(kind, "Transfer-Encoding: chunked")
    async with open_port(tmp_path, body_timeout=0.15) as port, await port.connect() as client:
        await client.send(request(HOOK, None, header, method="POST") + b"1\r\n{")
        with trio.fail_after(30):
            answer = await client.answer()
        assert (answer.status, answer.closes) == (408, True)
        assert "body" in answer.json["error"]["message"]
        assert await client.is_ended()
        assert numbers(port) == []


async def test_a_body_that_drips_is_given_up(tmp_path: Path) -> None:
    """Each byte in time, all of them together far too late."""
    async with open_port(tmp_path, body_timeout=0.2) as port:
        async with await port.connect() as client, trio.open_nursery() as nursery:
            await client.send(request(HOOK, None, "Content-Length: 1000", method="POST"))

            async def drip() -> None:
                with contextlib.suppress(trio.BrokenResourceError):
                    while True:
                        await client.send(b" ")
                        await trio.sleep(0.02)

            nursery.start_soon(drip)
            with trio.fail_after(30):
                assert (await client.answer()).status == 408
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("cut", [1, 30, -1])
async def test_half_a_request_leaves_nothing_behind(tmp_path: Path, cut: int) -> None:
    async with open_port(tmp_path) as port:
        async with await port.connect() as client:
            await client.send(post(1)[:cut])
        await until(lambda: port.gate.connections == 0)
        assert numbers(port) == []


async def test_a_sender_that_closes_its_side_is_still_answered(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port, await port.connect() as client:
        await client.send(post(1))
        assert isinstance(client.stream, trio.SocketStream)
        await client.stream.send_eof()
        assert (await client.answer()).status == 200
        assert await client.is_ended()


@pytest.mark.parametrize(
    ("head", "keeps"),
    [
        (b"HTTP/1.1\r\nHost: a\r\n", True),
        (b"HTTP/1.1\r\nHost: a\r\nConnection: close\r\n", False),
        (b"HTTP/1.1\r\nHost: a\r\nConnection: foo, Close\r\n", False),
        (b"HTTP/1.0\r\n", False),
        (b"HTTP/1.0\r\nConnection: keep-alive\r\n", True),
    ],
)
async def test_the_connection_lasts_as_long_as_the_sender_says(
    tmp_path: Path, head: bytes, keeps: bool
) -> None:
    async with open_port(tmp_path) as port, await port.connect() as client:
        body = webhook()
        answer = await client.call(
            b"POST %s %sContent-Length: %d\r\n\r\n%s" % (HOOK.encode(), head, len(body), body)
        )
        assert answer.status == 200
        assert answer.closes is not keeps
        if keeps:
            assert (b"1.0" in head) == (answer.headers.get("connection") == "keep-alive")
            assert (await client.call(post(2))).status == 200
        else:
            assert await client.is_ended()


async def test_too_many_connections_are_turned_away_at_once(tmp_path: Path) -> None:
    """P5: those inside are served on."""
    async with open_port(tmp_path, max_connections=2) as port:
        async with await port.connect() as one, await port.connect() as two:
            await one.call(post(1))
            await two.call(post(2))
            async with await port.connect() as three:
                assert (await three.answer()).status == 503
                assert await three.is_ended()
            assert (await one.call(post(3))).status == 200
        await until(lambda: port.gate.connections == 0)
        async with await port.connect() as four:
            assert (await four.call(post(4))).status == 200


async def test_a_peer_that_resets_harms_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_port(tmp_path) as port, await port.connect() as neighbour:
        for sent in (b"", post(1)[:50], post(1), request("/big?30000000"), upgrade()):
            client = await port.connect()
            await client.send(sent or b"G")
            assert isinstance(client.stream, trio.SocketStream)
            linger_0 = struct.pack("ii", 1, 0)
            client.stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_0)
            await trio.aclose_forcefully(client.stream)
        assert (await neighbour.call(post(2))).status == 200
        await until(lambda: port.gate.connections == 1)
    assert not caplog.records


async def test_a_bug_in_one_connection_ends_that_one_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_port(tmp_path) as port:
        monkeypatch.setattr("evorelay.edge.gate.response", None)
        async with await port.connect() as client:
            await client.send(post(1))
            assert await client.is_ended()
        monkeypatch.undo()
        assert "a connection ended with an error" in caplog.text
        async with await port.connect() as client:
            assert (await client.call(post(2))).status == 200


class TestDrain:
    """``close_asap``: nothing new, the idle go, what was begun is answered, ``run`` returns."""

    async def test_idle_connections_end_at_once(self, tmp_path: Path) -> None:
        async with open_port(tmp_path) as port:
            clients = [await port.connect() for _ in range(5)]
            await clients[0].call(post(1))
            await clients[1].call(request("/hello"))
            await until(lambda: port.gate.connections == 5)
            await trio.testing.wait_all_tasks_blocked()
            port.gate.close_asap()
            with trio.fail_after(30):
                await port.is_done.wait()
                for client in clients:
                    assert await client.is_ended()

    async def test_what_was_on_its_way_is_answered(self, tmp_path: Path) -> None:
        """A connection that looks idle, or has just been accepted, may carry a webhook already."""
        async with open_port(tmp_path) as port:
            old, new = await port.connect(), await port.connect()
            await old.call(post(1))
            await until(lambda: port.gate.connections == 2)
            port.gate.close_asap()
            await old.send(post(2))
            await new.send(post(3))
            for client in (old, new):
                answer = await client.answer()
                assert (answer.status, answer.closes) == (200, True)
            assert sorted(numbers(port)) == [1, 2, 3]

    async def test_what_came_while_the_loop_was_busy_is_answered(self, tmp_path: Path) -> None:
        """The time for a last word is over, and the word is there: it counts."""
        async with open_port(tmp_path) as port, await port.connect() as client:
            await client.call(post(1))
            assert isinstance(client.stream, trio.SocketStream)
            port.gate.close_asap()
            os.write(client.stream.socket.fileno(), post(2))
            time.sleep(2 * LAST_WORD_S)  # nothing else runs meanwhile
            answer = await client.answer()
            assert (answer.status, answer.closes) == (200, True)
            assert numbers(port) == [1, 2]

    @pytest.mark.parametrize("sent", [post(2)[:20], post(2)[:-5], post(2, pad=300_000)[:-5]])
    async def test_who_sends_nothing_more_is_told_to_come_again(
        self, tmp_path: Path, sent: bytes
    ) -> None:
        """503, which Evolution sends again: half a head, half a body, half a large one."""
        async with open_port(tmp_path) as port, await port.connect() as client:
            await client.send(sent)
            await until(lambda: any(inbound.owes for inbound in port.gate._open))
            port.gate.close_asap()
            answer = await client.answer()
            assert (answer.status, answer.closes) == (503, True)
            assert answer.json["error"]["code"] == "unavailable"
            assert int(answer.headers["retry-after"]) > 0
            with trio.fail_after(5):
                await port.is_done.wait()

    async def test_who_drips_is_not_waited_for_until_the_deadline(self, tmp_path: Path) -> None:
        async with open_port(tmp_path, drain_timeout=2.0) as port, await port.connect() as client:
            whole = post(1, pad=10_000)
            await client.send(whole[:-5000])
            await until(lambda: any(inbound.owes for inbound in port.gate._open))
            port.gate.close_asap()
            began = trio.current_time()
            with trio.fail_after(30), contextlib.suppress(trio.BrokenResourceError):
                for _ in range(4999):
                    await client.send(b" ")
                    await trio.sleep(0.01)
            with trio.fail_after(5):
                await port.is_done.wait()
            assert trio.current_time() - began >= 1.0  # it got on, so it was waited for
            assert numbers(port) == []

    async def test_a_handshake_that_never_ends_is_not_waited_for(self, tmp_path: Path) -> None:
        """TLS on the port itself: who connects in the last moment and says nothing."""
        cert, key = self_signed(tmp_path)
        async with open_port(
            tmp_path, drain_timeout=2.0, tls_cert=str(cert), tls_key=str(key)
        ) as port:
            async with await trio.open_tcp_stream(*port.address[:2]):
                await until(lambda: port.gate.connections == 1)
                port.gate.close_asap()
                with trio.fail_after(8):  # before the 10 s that a handshake has
                    await port.is_done.wait()

    async def test_nobody_begins_to_listen(self, tmp_path: Path) -> None:
        async with open_port(tmp_path) as port, await port.connect() as client:
            await until(lambda: port.gate.connections == 1)
            port.gate.close_asap()
            await client.send(
                request(
                    "/connection/websocket",
                    None,
                    "Connection: Upgrade",
                    "Upgrade: websocket",
                    "Sec-WebSocket-Version: 13",
                    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
                )
            )
            answer = await client.answer()
            assert (answer.status, answer.closes) == (503, True)

    async def test_nobody_gets_in_any_more(self, tmp_path: Path) -> None:
        async with open_port(tmp_path) as port:
            port.gate.close_asap()
            await port.is_done.wait()
            with pytest.raises(OSError, match="all attempts to connect"):
                await port.connect()

    async def test_a_webhook_under_way_is_answered(self, tmp_path: Path) -> None:
        async with open_port(tmp_path) as port, await port.connect() as client:
            whole = post(1)
            await client.send(whole[:-5])
            await until(lambda: any(inbound.busy for inbound in port.gate._open))
            port.gate.close_asap()
            await client.send(whole[-5:])
            answer = await client.answer()
            assert (answer.status, answer.closes) == (200, True)
            await client.stream.aclose()
            with trio.fail_after(30):
                await port.is_done.wait()
            assert numbers(port) == [1]

    async def test_another_request_under_way_is_answered(self, tmp_path: Path) -> None:
        async with open_port(tmp_path) as port, await port.connect() as client:
            await client.send(request("/when-allowed"))
            await port.app.entered.wait()
            port.gate.close_asap()
            port.app.may_answer.set()
            answer = await client.answer()
            assert (answer.body, answer.closes) == (b"at last", True)
            await client.stream.aclose()
            with trio.fail_after(30):
                await port.is_done.wait()

    async def test_what_was_pipelined_behind_is_left_to_the_next_process(
        self, tmp_path: Path
    ) -> None:
        """The one answer comes through although there are bytes we never read."""
        async with open_port(tmp_path) as port, await port.connect() as client:
            await client.send(request("/when-allowed") + post(1) * 1000)
            await port.app.entered.wait()
            port.gate.close_asap()
            port.app.may_answer.set()
            assert (await client.answer()).body == b"at last"
            assert await client.is_ended()
            assert numbers(port) == []


class TestAddresses:
    async def test_tls_on_the_port_itself(self, tmp_path: Path) -> None:
        cert, key = self_signed(tmp_path)
        trust = ssl.create_default_context(cafile=str(cert))
        async with open_port(tmp_path, tls_cert=str(cert), tls_key=str(key)) as port:
            async with await port.connect(trust) as client:
                await client.send(post(1) + request("/hello") + post(2, pad=300_000))
                assert [(await client.answer()).status for _ in range(3)] == [200] * 3
                assert port.app.scopes[0]["scheme"] == "https"
            await until(lambda: port.gate.connections == 0)
            assert numbers(port) == [1, 2]

    async def test_a_peer_that_never_shakes_hands_is_dropped(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        cert, key = self_signed(tmp_path)
        async with open_port(
            tmp_path, tls_cert=str(cert), tls_key=str(key), header_timeout=0.1
        ) as port:
            async with await port.connect() as silent, await port.connect() as plain:
                await plain.send(request("/hello"))
                with trio.fail_after(30):
                    assert await silent.is_ended()
                    while await plain.stream.receive_some():
                        pass  # an alert, as OpenSSL does
            await until(lambda: port.gate.connections == 0)
        assert not caplog.records

    async def test_a_unix_socket(self, tmp_path: Path) -> None:
        async with open_port(tmp_path, bind=f"unix:{tmp_path}/relay.sock") as port:
            async with await port.connect() as client:
                assert (await client.call(post(1))).status == 200
                assert (await client.call(request("/hello"))).body == b"hello"
                assert port.app.scopes[0]["evorelay.peer"] == "unix"

    async def test_ipv6(self, tmp_path: Path) -> None:
        async with open_port(tmp_path, bind="[::1]:0") as port, await port.connect() as client:
            assert (await client.call(post(1))).status == 200
            assert (await client.call(request("/hello"))).body == b"hello"
            assert port.app.scopes[0]["evorelay.peer"] == "::1"

    @pytest.mark.parametrize(("proxies", "scheme"), [((), "http"), (("127.0.0.0/8",), "https")])
    async def test_only_a_trusted_proxy_says_that_the_client_uses_tls(
        self, tmp_path: Path, proxies: tuple[str, ...], scheme: str
    ) -> None:
        async with open_port(tmp_path, trusted_proxies=proxies) as port:
            async with await port.connect() as client:
                await client.call(request("/hello", None, "X-Forwarded-Proto: https"))
                assert port.app.scopes[0]["scheme"] == scheme


async def test_a_sender_that_reads_no_answers_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P5: it may not hold its connection, and the drain, for ever."""
    monkeypatch.setattr("evorelay.edge.answering.SEND_TIMEOUT_S", 0.2)
    async with open_port(tmp_path) as port:
        async with await port.connect() as client:
            shrink(client)
            with trio.move_on_after(10) as patience:
                try:
                    while True:
                        await client.send(request(HOOK, b"x") * 1000)
                except trio.BrokenResourceError:
                    pass
            assert not patience.cancelled_caught
        await until(lambda: port.gate.connections == 0)


def shrink(client: Client) -> None:
    assert isinstance(client.stream, trio.SocketStream)
    client.stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
