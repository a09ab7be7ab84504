"""The centrifuge SDK in a Node process of its own, as an asynchronous object."""

import json
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

HERE = Path(__file__).parent
NODE_MODULES = HERE.parent / "node_modules"
PATIENCE_S = 20.0

Line = dict[str, Any]


class SdkError(Exception):
    """A call of the SDK's was rejected with a code of the protocol's."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class Sdk:
    """One SDK client. ``lines`` is everything it told its application, in order."""

    def __init__(self, process: trio.Process) -> None:
        self.lines: list[Line] = []
        self._process = process
        self._news = trio.Event()
        self._last_id = 0

    async def call(self, command: str, **options: Any) -> Any:
        """Run a command of client.mjs. Raises ``SdkError`` when the SDK rejects it."""
        self._last_id += 1
        id_ = self._last_id
        line = json.dumps({"id": id_, "command": command, **options}) + "\n"
        assert self._process.stdin is not None
        await self._process.stdin.send_all(line.encode())
        answer = await self.wait_for(lambda line: line.get("id") == id_, f"answer to {command}")
        if "error" in answer:
            raise SdkError(answer["error"]["code"], answer["error"]["message"])
        return answer["result"]

    async def rpc(self, method: str, **data: Any) -> Any:
        return (await self.call("rpc", method=method, data=data))["data"]

    async def connect(self, url: str, **options: Any) -> Line:
        """Connect and wait for it."""
        await self.call("connect", url=url, **options)
        return await self.told("connected")

    async def subscribe(self, channel: str, **options: Any) -> Line:
        """Subscribe and wait for it."""
        await self.call("subscribe", channel=channel, options=options)
        return await self.told("subscribed", channel=channel)

    async def told(self, event: str, *, nth: int = 1, **fields: Any) -> Line:
        """The ``nth`` event of this name with these fields, whether it came or is to come."""

        def matches(line: Line) -> bool:
            return line.get("event") == event and all(line.get(k) == v for k, v in fields.items())

        return await self.wait_for(matches, f"{nth}. {event} {fields}", nth=nth)

    async def wait_for(self, matches: Callable[[Line], bool], what: str, *, nth: int = 1) -> Line:
        with trio.move_on_after(PATIENCE_S):
            while True:
                found = [line for line in self.lines if matches(line)]
                if len(found) >= nth:
                    return found[nth - 1]
                await self._news.wait()
        raise AssertionError(f"no {what}; told so far: {self.lines[-10:]}")

    def publications(self, channel: str) -> list[Line]:
        """What came through a subscription, recovered and live, in the order of arrival."""
        return [
            line
            for line in self.lines
            if line.get("event") == "publication" and line["channel"] == channel
        ]

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


@asynccontextmanager
async def open_sdk() -> AsyncIterator[Sdk]:
    """A Node process with an SDK that has not connected yet."""
    assert NODE_MODULES.is_dir(), "the Node packages are missing; run: npm ci --prefix tests"
    process = await trio.lowlevel.open_process(
        ["node", str(HERE / "client.mjs")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    sdk = Sdk(process)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sdk.listen)
            yield sdk
            nursery.cancel_scope.cancel()
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
