"""A client library in a Node process of its own, driven by JSON lines, as an asynchronous object.

Commands ``{"id", "command", ...}`` go in on standard input. ``{"id", "result"}`` or
``{"id", "error": {"code", "message"}}`` answers one; ``{"event", ...}`` is what the library told
its application.
"""

import json
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import trio

HERE = Path(__file__).parent
NODE_MODULES = HERE.parent / "node_modules"
PATIENCE_S = 40.0

Line = dict[str, Any]


class SdkError(Exception):
    """A call of the library's was rejected; with the protocol's code, where there is one."""

    def __init__(self, code: int | None, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class NodeClient:
    """``lines`` is everything the library told its application, in order."""

    def __init__(self, process: trio.Process) -> None:
        self.lines: list[Line] = []
        self._process = process
        self._news = trio.Event()
        self._last_id = 0
        self._writing = trio.Lock()

    async def call(self, command: str, **options: Any) -> Any:
        """Run a command of the script's. Raises ``SdkError`` when the library rejects it."""
        self._last_id += 1
        id_ = self._last_id
        line = json.dumps({"id": id_, "command": command, **options}) + "\n"
        assert self._process.stdin is not None
        async with self._writing:
            await self._process.stdin.send_all(line.encode())
        answer = await self.wait_for(lambda line: line.get("id") == id_, f"answer to {command}")
        if "error" in answer:
            error = answer["error"]
            raise SdkError(error.get("code"), error["message"])
        return answer["result"]

    async def told(self, event: str, *, nth: int = 1, **fields: Any) -> Line:
        """The ``nth`` event of this name with these fields, whether it came or is to come."""

        def matches(line: Line) -> bool:
            return line.get("event") == event and all(line.get(k) == v for k, v in fields.items())

        return await self.wait_for(matches, f"{nth}. {event} {fields}", nth=nth)

    async def wait_for(self, matches: Callable[[Line], bool], what: str, *, nth: int = 1) -> Line:
        """The ``nth`` line that matches."""
        found: list[Line] = []

        def is_there() -> bool:
            found[:] = [line for line in self.lines if matches(line)]
            return len(found) >= nth

        await self.wait_until(is_there, what)
        return found[nth - 1]

    async def wait_until(self, holds: Callable[[], bool], what: str) -> None:
        """Wait for lines until something holds."""
        with trio.move_on_after(PATIENCE_S):
            while not holds():
                await self._news.wait()
            return
        raise AssertionError(f"no {what}; told so far: {self.lines[-10:]}")

    def count(self, event: str) -> int:
        return sum(line.get("event") == event for line in self.lines)

    async def listen(self) -> None:
        assert self._process.stdout is not None
        held = b""
        async for data in self._process.stdout:
            *lines, held = (held + data).split(b"\n")
            self.lines += [json.loads(line) for line in lines]
            self._news.set()
            self._news = trio.Event()


C = TypeVar("C", bound=NodeClient)


@asynccontextmanager
async def open_node(script: str, client_type: type[C]) -> AsyncIterator[C]:
    """Run a script of this directory in Node until the block ends."""
    assert NODE_MODULES.is_dir(), "the Node packages are missing; run: npm ci --prefix tests"
    process = await trio.lowlevel.open_process(
        ["node", str(HERE / script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    client = client_type(process)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.listen)
            yield client
            nursery.cancel_scope.cancel()
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
