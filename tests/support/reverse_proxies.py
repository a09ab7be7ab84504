"""The real nginx, Caddy and Traefik with the files from systemd/proxy, before a daemon.

Only addresses, names and certificates are replaced in them, and each must be there to be replaced.
"""

import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Literal

import trio

from tests.certificates import self_signed
from tests.support.daemon import Daemon, free_port
from tests.support.http import Connection, Reply

SNIPPETS = Path(__file__).parents[2] / "systemd/proxy"
NAME = "relay.example"
Kind = Literal["nginx", "caddy", "traefik"]
KINDS: tuple[Kind, ...] = ("nginx", "caddy", "traefik")
_UNPACKED = Path(sys.prefix) / "debian"
"""Where the Makefile unpacks Debian's packages, which installs no service."""
_START_S = 20.0


def program(name: str) -> str:
    """Where a proxy is: unpacked, in the environment of the tests, or on this machine."""
    places = [_UNPACKED / "usr/sbin", _UNPACKED / "usr/bin", Path(sys.prefix) / "bin"]
    found = shutil.which(name, path=os.pathsep.join([*map(str, places), os.environ["PATH"]]))
    assert found is not None, f"{name} is not here; `make test` gets it"
    return found


class ReverseProxy:
    def __init__(self, directory: Path, upstream: int) -> None:
        self.directory = directory
        self.upstream = upstream
        self.https, self.http = free_port(), free_port()
        self.certificate, self.key = self_signed(directory, NAME)
        self._trust = ssl.create_default_context(cafile=str(self.certificate))

    @property
    def url(self) -> str:
        return f"wss://{NAME}:{self.https}"

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[trio.SSLStream[trio.SocketStream]]:
        """A TLS connection to it, its certificate verified."""
        plain = await trio.open_tcp_stream("127.0.0.1", self.https)
        async with trio.SSLStream(
            plain, self._trust, server_hostname=NAME, https_compatible=True
        ) as stream:
            yield stream

    async def ask(self, method: str, target: str, body: bytes = b"", **headers: str) -> Reply:
        async with self.connected() as stream:
            return await Connection(stream).ask(method, target, body, **headers)

    async def ask_in_clear(self, method: str, target: str, body: bytes = b"") -> Reply:
        """The same on port 80."""
        async with await trio.open_tcp_stream("127.0.0.1", self.http) as stream:
            return await Connection(stream).ask(method, target, body)

    async def is_routing(self) -> bool:
        """Traefik listens before it has read its routes and certificates."""
        try:
            return (await self.ask("GET", "/livez")).status == 200
        except trio.BrokenResourceError:
            return False

    def adapt(self, snippet: str, replacements: Mapping[str, str]) -> str:
        """A file from systemd/proxy for this machine's ports."""
        text = (SNIPPETS / snippet).read_text()
        ours = {"relay.example.com": NAME, "127.0.0.1:4000": f"127.0.0.1:{self.upstream}"}
        for old, new in {**replacements, **ours}.items():
            assert old in text or old in ours, f"{snippet} has no {old}"
            text = text.replace(old, new)
        return text

    def write(self, name: str, text: str) -> Path:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def nginx(self) -> list[str]:
        listen = "listen {0};\n    listen [::]:{0};"
        tls = "listen {0} ssl http2;\n    listen [::]:{0} ssl http2;"
        snippet = self.adapt(
            "nginx.conf",
            {
                tls.format(443): f"listen 127.0.0.1:{self.https} ssl http2;",
                listen.format(80): f"listen 127.0.0.1:{self.http};",
                "/etc/letsencrypt/live/relay.example.com/fullchain.pem": str(self.certificate),
                "/etc/letsencrypt/live/relay.example.com/privkey.pem": str(self.key),
            },
        )
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        temporary = "".join(f"{kind}_temp_path temp-{kind};\n" for kind in kinds)
        user = "user root;\n" if os.getuid() == 0 else ""
        main = self.write(
            "nginx.conf",
            f"{user}daemon off;\npid nginx.pid;\nevents {{}}\n"
            f"http {{\naccess_log off;\n{temporary}\n{snippet}\n}}\n",
        )
        return [program("nginx"), "-p", str(self.directory), "-e", "stderr", "-c", str(main)]

    def caddy(self) -> list[str]:
        snippet = self.adapt(
            "Caddyfile",
            {
                "\nrelay.example.com {\n": (
                    f"\nrelay.example.com {{\n\ttls {self.certificate} {self.key}\n"
                )
            },
        )
        options = (
            "{\n\tadmin off\n\tdefault_bind 127.0.0.1\n"
            f"\thttps_port {self.https}\n\thttp_port {self.http}\n}}\n"
        )
        main = self.write("Caddyfile", options + snippet)
        return [program("caddy"), "run", "--adapter", "caddyfile", "--config", str(main)]

    def traefik(self) -> list[str]:
        away = str(free_port())
        static = self.adapt(
            "traefik/traefik.yml",
            {
                '":80"': f'"127.0.0.1:{self.http}"',
                '":443"': f'"127.0.0.1:{self.https}"',
                "4099": away,
                "/etc/traefik/dynamic": str(self.directory / "dynamic"),
                "/var/lib/traefik/acme.json": str(self.directory / "acme.json"),
            },
        )
        certificates = (
            f"\ntls:\n  certificates:\n    - certFile: {self.certificate}\n"
            f"      keyFile: {self.key}\n"
        )
        dynamic = self.adapt(
            "traefik/dynamic/evorelay.yml",
            {"tls:\n        certResolver: letsencrypt": "tls: {}", "4099": away},
        )
        self.write("dynamic/evorelay.yml", dynamic + certificates)
        main = self.write("traefik.yml", static)
        return [program("traefik"), f"--configFile={main}"]


@contextmanager
def reverse_proxy(kind: Kind, daemon: Daemon, directory: Path) -> Iterator[ReverseProxy]:
    """A started proxy before ``daemon``, which may come and go; ended afterwards."""
    log_file = directory / "proxy.log"
    proxy, process = _start(kind, daemon.port, directory, log_file)
    try:
        yield proxy
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        print(log_file.read_text(errors="replace")[-4000:])


def _start(
    kind: Kind, upstream: int, directory: Path, log_file: Path
) -> tuple[ReverseProxy, subprocess.Popen[bytes]]:
    """Somebody else may take a port between its choice and its use: then others are chosen."""
    home = {"HOME": str(directory), "XDG_DATA_HOME": str(directory), "PATH": os.environ["PATH"]}
    for _ in range(3):
        proxy = ReverseProxy(directory, upstream)
        with open(log_file, "wb") as log:
            process = subprocess.Popen(
                getattr(proxy, kind)(),
                cwd=directory,
                env=home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        if _listens(proxy, process):
            return proxy, process
        process.kill()
        process.wait()
    raise AssertionError(f"the proxy did not start:\n{log_file.read_text(errors='replace')}")


def _listens(proxy: ReverseProxy, process: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            for port in (proxy.https, proxy.http):
                socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return process.poll() is None
    return False
