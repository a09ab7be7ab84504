"""Where a team's front end lives: a web server of its own, and a line to the daemon to be cut."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import trio

from tests.interop.node import NODE_MODULES
from tests.support.daemon import Daemon, free_port
from tests.support.proxy import Proxy, proxied

HERE = Path(__file__).parent
KINDS = {".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8"}
CLIENT = NODE_MODULES / "socket.io-client" / "dist"
LIBRARIES = {
    "/lib/socket.io.js": CLIENT / "socket.io.js",
    "/lib/socket.io.esm.js": CLIENT / "socket.io.esm.min.js",
    "/lib/react.js": NODE_MODULES / "react" / "umd" / "react.development.js",
    "/lib/react-dom.js": NODE_MODULES / "react-dom" / "umd" / "react-dom.development.js",
}


@contextmanager
def served(files: Mapping[str, str] | None = None) -> Iterator[str]:
    """The origin of a site with everything in this directory, the libraries, and ``files``.

    What is put into ``files`` later is served, too.
    """
    pages = {f"/{path.name}": path for path in HERE.iterdir() if path.suffix in KINDS} | LIBRARIES
    made = {} if files is None else files

    class Site(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            if path in made:
                body = made[path].encode()
            elif path in pages:
                body = pages[path].read_bytes()
            else:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Type", KINDS[Path(path).suffix])
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", free_port()), Site) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class Line:
    """A proxy before the daemon that runs in a thread of its own."""

    def __init__(self, proxy: Proxy, token: trio.lowlevel.TrioToken) -> None:
        self.url = f"http://{urlsplit(proxy.url).netloc}"
        self._proxy = proxy
        self._token = token

    def cut(self) -> None:
        """End every connection, and refuse new ones until ``mend``."""
        trio.from_thread.run_sync(self._proxy.cut, trio_token=self._token)

    def mend(self) -> None:
        trio.from_thread.run_sync(self._proxy.mend, trio_token=self._token)


@contextmanager
def line_to(daemon: Daemon) -> Iterator[Line]:
    lines: list[Line] = []
    is_up = threading.Event()
    over = trio.Event()

    async def carry() -> None:
        async with proxied(daemon) as proxy:
            lines.append(Line(proxy, trio.lowlevel.current_trio_token()))
            is_up.set()
            await over.wait()

    thread = threading.Thread(target=trio.run, args=(carry,))
    thread.start()
    assert is_up.wait(20)
    [line] = lines
    try:
        yield line
    finally:
        stop: Any = over.set
        trio.from_thread.run_sync(stop, trio_token=line._token)
        thread.join()
