"""Files from addresses that strangers name: bounded, and never a way into a private network."""

import gzip
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from evorelay.edge.downloads import Downloads, Reach, public_or_one_of, public_web
from evorelay.model.errors import Code, ConfigError
from evorelay.relay.blobs import BlobStore
from evorelay.relay.downloading import DownloadRefused
from tests.certificates import self_signed
from tests.support.files_server import FilesServer, answer, files_server, redirect

PICTURE = b"\xff\xd8\xff\xe0 a picture"


def anywhere(host: str, port: int, address: str) -> bool:
    return True


class Names(trio.abc.HostnameResolver):
    """Says for each name, one after the other, where it leads; the last answer stays."""

    def __init__(self, **names: list[list[str]]) -> None:
        self._names = names
        self.asked: list[str] = []

    async def getaddrinfo(
        self,
        host: bytes | None,
        port: bytes | str | int | None,
        family: int = 0,
        type: int = 0,
        proto: int = 0,
        flags: int = 0,
    ) -> Any:
        assert host is not None
        name = host.decode().partition(".")[0]
        self.asked.append(name)
        if name not in self._names:
            raise socket.gaierror(socket.EAI_NONAME, "not known")
        answers = self._names[name]
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        return [
            (socket.AF_INET6 if ":" in one else socket.AF_INET, type, proto, "", (one, port))
            for one in addresses
        ]

    async def getnameinfo(self, sockaddr: Any, flags: int) -> Any:
        raise NotImplementedError


@contextmanager
def names(**known: list[list[str]]) -> Iterator[Names]:
    resolver = Names(**known)
    previous = trio.socket.set_custom_hostname_resolver(resolver)
    try:
        yield resolver
    finally:
        trio.socket.set_custom_hostname_resolver(previous)


@pytest.fixture
async def blobs(tmp_path: Path) -> BlobStore:
    return await BlobStore.open(tmp_path / "blobs")


@pytest.fixture
async def server() -> AsyncIterator[FilesServer]:
    async with files_server() as running:
        running.answers["/a.jpg"] = answer(PICTURE, "Content-Type: image/jpeg")
        yield running


def downloads(blobs: BlobStore, may_reach: Reach = anywhere, **options: Any) -> Downloads:
    defaults: dict[str, Any] = {"bytes_max": 1000, "tls": ssl.create_default_context()}
    return Downloads(blobs, may_reach=may_reach, **{**defaults, **options})


async def refused(loads: Downloads, url: str) -> DownloadRefused:
    with pytest.raises(DownloadRefused) as caught:
        await loads.fetch(url)
    assert url == "http://" or url not in str(caught.value)
    return caught.value


def stored(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()]


async def test_a_file_is_in_the_blob_store(blobs: BlobStore, server: FilesServer) -> None:
    found = await downloads(blobs).fetch(server.url("/a.jpg?X-Amz-Signature=secret"))
    assert blobs.path(found.blob).read_bytes() == PICTURE
    assert (found.size, found.mimetype, found.filename) == (len(PICTURE), "image/jpeg", "a.jpg")


async def test_the_request_says_nothing_of_us(blobs: BlobStore, server: FilesServer) -> None:
    """P7: no cookie, no credential; the Host is the one that was named."""
    server.answers["/1"] = answer(
        b"", "Location: /a.jpg", "Set-Cookie: a=1; Path=/", status="302 Found"
    )
    with names(files=[["127.0.0.1"]]):
        await downloads(blobs).fetch(server.url("/1", "files.example"))
    for head in server.heads:
        lower = head.lower()
        assert f"host: files.example:{server.port}\r\n" in lower
        assert "accept-encoding: identity\r\n" in lower
        assert "cookie" not in lower
        assert "authorization" not in lower


async def test_the_name_a_server_gives_the_file_counts(
    blobs: BlobStore, server: FilesServer
) -> None:
    server.answers["/x"] = answer(b"x", 'Content-Disposition: attachment; filename="../../b.pdf"')
    assert (await downloads(blobs).fetch(server.url("/x"))).filename == "b.pdf"


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "[::1]",
        "0.0.0.0",
        "[::]",
        "[::ffff:127.0.0.1]",
        "169.254.169.254",
        "10.1.2.3",
        "[fd00::1]",
        "100.64.0.1",
    ],
)
async def test_no_spelling_leads_into_a_private_network(blobs: BlobStore, host: str) -> None:
    fault = await refused(downloads(blobs, public_web), f"http://{host}/latest/meta-data")
    assert (fault.code, fault.is_permanent) == (Code.MEDIA_UNAVAILABLE, True)
    assert "public Internet" in fault.message or "not a URL" in fault.message


async def test_a_name_with_one_private_address_is_refused(blobs: BlobStore) -> None:
    """Whichever of them would have been taken."""
    with names(mixed=[["93.184.215.14", "10.0.0.1"]]):
        assert (await refused(downloads(blobs, public_web), "http://mixed.example/")).is_permanent


async def test_a_redirect_into_a_private_network_is_refused(
    blobs: BlobStore, server: FilesServer
) -> None:
    server.answers["/out"] = redirect(f"http://127.0.0.1:{server.port}/a.jpg")
    server.answers["/relative"] = redirect("//2130706433/")

    def only_by_name(host: str, port: int, address: str) -> bool:
        return host == "files.example"

    with names(files=[["127.0.0.1"]]):
        for path in ("/out", "/relative"):
            fault = await refused(downloads(blobs, only_by_name), server.url(path, "files.example"))
            assert "public Internet" in fault.message
    assert server.paths == ["/out", "/relative"]


async def test_a_name_that_changes_its_mind_changes_nothing(
    blobs: BlobStore, server: FilesServer
) -> None:
    """DNS rebinding: the address that was judged is the one that is called."""
    with names(rebind=[["127.0.0.1"], ["10.66.66.66"]]) as resolver:
        await downloads(blobs).fetch(server.url("/a.jpg", "rebind.example"))
        assert resolver.asked == ["rebind"]
    with names(rebind=[["93.184.215.14"], ["127.0.0.1"]]) as resolver:
        loads = downloads(blobs, public_web, deadline_s=0.2)
        await refused(loads, "http://rebind.example/a.jpg")  # nobody is reached from here
        assert resolver.asked == ["rebind"]
    assert server.paths == ["/a.jpg"]


async def test_the_next_address_is_tried(blobs: BlobStore, server: FilesServer) -> None:
    with names(dual=[["::1", "127.0.0.1"]]):  # nobody listens on the first
        await downloads(blobs).fetch(server.url("/a.jpg", "dual.example"))


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://a.example/x",
        "http://",
        "//a.example/x",
        "gopher://a",
        "x",
        "http://user:secret@files.example/",
        "http://a.example:99999/",
        "http://[::1",
        "http:///x",
        "\x00",
    ],
)
async def test_what_is_no_address_of_a_file(blobs: BlobStore, url: str) -> None:
    fault = await refused(downloads(blobs), url)
    assert (fault.code, fault.is_permanent) == (Code.MEDIA_UNAVAILABLE, True)
    assert "secret" not in fault.message


@pytest.mark.parametrize("host", ["xn--", "xn--a.example", "a..b", "a" * 64 + ".example"])
async def test_a_host_that_cannot_be(blobs: BlobStore, server: FilesServer, host: str) -> None:
    """By itself, and where a server leads to it."""
    await refused(downloads(blobs), f"http://{host}/x")
    server.answers["/there"] = redirect(f"http://{host}/x")
    await refused(downloads(blobs), server.url("/there"))
    assert server.paths == ["/there"]


async def test_an_unknown_name(blobs: BlobStore) -> None:
    with names():
        fault = await refused(downloads(blobs), "http://nobody.example/")
    assert not fault.is_permanent


@pytest.mark.parametrize(
    ("said", "is_permanent"),
    [
        (answer(b"no", status="404 Not Found"), True),
        (answer(b"no", status="403 Forbidden"), True),
        (answer(b"no", status="429 Too Many Requests"), False),
        (answer(b"no", status="503 Service Unavailable"), False),
        (answer(b"", status="304 Not Modified"), False),
        (answer(b"<html>", "Content-Type: text/html; charset=utf-8"), True),
        (answer(gzip.compress(bytes(10**6)), "Content-Encoding: gzip"), True),
        (answer(b""), True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", False),
        (b"SSH-2.0-OpenSSH_9.2\r\n", False),
        (b"", False),
    ],
    ids=[
        *("404", "403", "429", "503", "304", "html", "gzip", "empty"),
        *("cut", "not http", "silence"),
    ],
)
async def test_answers_that_are_no_file(
    tmp_path: Path, blobs: BlobStore, server: FilesServer, said: bytes, is_permanent: bool
) -> None:
    server.answers["/x"] = said
    fault = await refused(downloads(blobs), server.url("/x"))
    assert (fault.code, fault.is_permanent) == (Code.MEDIA_UNAVAILABLE, is_permanent)
    assert stored(tmp_path) == []


async def test_too_large_by_its_own_word(
    tmp_path: Path, blobs: BlobStore, server: FilesServer
) -> None:
    async def never_send(stream: trio.abc.Stream) -> None:
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n")
        await trio.sleep_forever()

    server.answers["/x"] = never_send
    with trio.fail_after(30):
        assert (await refused(downloads(blobs), server.url("/x"))).code is Code.TOO_LARGE
    assert stored(tmp_path) == []


async def test_endless(tmp_path: Path, blobs: BlobStore, server: FilesServer) -> None:
    """P5"""

    async def endless(stream: trio.abc.Stream) -> None:
        await stream.send_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            await stream.send_all(b"64\r\n" + bytes(100) + b"\r\n")

    server.answers["/x"] = endless
    with trio.fail_after(30):
        assert (await refused(downloads(blobs), server.url("/x"))).code is Code.TOO_LARGE
    assert stored(tmp_path) == []


async def test_a_drip(tmp_path: Path, blobs: BlobStore, server: FilesServer) -> None:
    """Every byte comes in time, and the whole of it never does."""

    async def drip(stream: trio.abc.Stream) -> None:
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n")
        while True:
            await stream.send_all(b"x")
            await trio.sleep(0.02)

    server.answers["/x"] = drip
    with trio.fail_after(30):
        fault = await refused(downloads(blobs, deadline_s=0.3), server.url("/x"))
    assert not fault.is_permanent
    assert "0.3 s" in fault.message
    assert stored(tmp_path) == []


async def test_a_chain_of_redirects_ends(blobs: BlobStore, server: FilesServer) -> None:
    for number in range(3):
        server.answers[f"/{number}"] = redirect(f"/{number + 1}")
    server.answers["/3"] = answer(PICTURE)
    server.answers["/loop"] = redirect("/loop")
    server.answers["/nonsense"] = redirect("http://[::1")
    assert (await downloads(blobs).fetch(server.url("/0"))).size == len(PICTURE)
    assert (await refused(downloads(blobs), server.url("/loop"))).is_permanent
    await refused(downloads(blobs), server.url("/nonsense"))
    assert server.paths.count("/loop") == 4


async def test_tls_is_verified_against_the_name_that_was_asked_for(
    tmp_path: Path, blobs: BlobStore
) -> None:
    """P7: and not against the address it leads to."""
    certificate = self_signed(tmp_path, "files.example")
    trusting = ssl.create_default_context(cafile=certificate[0])
    async with files_server(certificate) as server:
        server.answers["/a"] = answer(PICTURE)
        with names(files=[["127.0.0.1"]], other=[["127.0.0.1"]]):
            loads = downloads(blobs, tls=trusting)
            await loads.fetch(server.url("/a", "files.example", "https"))
            for host in ("other.example", "127.0.0.1"):
                fault = await refused(loads, server.url("/a", host, "https"))
                assert "certificate" in fault.message
            fault = await refused(downloads(blobs), server.url("/a", "files.example", "https"))
            assert "certificate" in fault.message
    assert server.paths == ["/a"]


async def test_cancelling_leaves_nothing_behind(
    tmp_path: Path, blobs: BlobStore, server: FilesServer
) -> None:
    has_begun = trio.Event()

    async def hang(stream: trio.abc.Stream) -> None:
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\nhalf")
        has_begun.set()
        await trio.sleep_forever()

    server.answers["/x"] = hang
    async with trio.open_nursery() as nursery:
        nursery.start_soon(downloads(blobs).fetch, server.url("/x"))
        await has_begun.wait()
        nursery.cancel_scope.cancel()
    assert stored(tmp_path) == []


def test_agents_are_led_to_web_servers_of_the_internet_alone() -> None:
    assert public_web("a.example", 443, "93.184.215.14")
    assert not public_web("a.example", 22, "93.184.215.14")
    assert not public_web("a.example", 443, "192.168.0.1")


def test_files_of_messages_may_lie_where_the_configuration_says() -> None:
    may_reach = public_or_one_of(["http://evolution:8080", "https://evo.example", "minio:9000"])
    assert may_reach("evolution", 8080, "172.18.0.2")
    assert may_reach("evo.example", 443, "10.0.0.1")
    assert may_reach("minio", 9000, "172.18.0.3")
    assert may_reach("bucket.s3.example", 9000, "93.184.215.14")
    assert not may_reach("evolution", 6379, "172.18.0.2")
    assert not may_reach("redis", 8080, "172.18.0.2")
    assert public_or_one_of(["minio"])("minio", 9000, "172.18.0.3")


@pytest.mark.parametrize("host", ["", "[::1", ":9000", "http://", "a:b", "http://xn--/"])
def test_what_is_no_host_is_said_before_the_start(host: str) -> None:
    with pytest.raises(ConfigError, match=r"media\.allow_hosts"):
        public_or_one_of([host])
