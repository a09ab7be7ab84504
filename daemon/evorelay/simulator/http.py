"""The HTTP client that posts webhooks the way axios does. The simulator's only use of httpx."""

import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

import httpx
import trio

from evorelay.simulator.retry import Answer

REQUEST_TIMEOUT_S = 30.0
"""2.3.6's default, from the first byte out to the last byte in. 1.8.2 has none; we keep one."""
NODE_KEEPS_IDLE_S = 5.0
AXIOS_MAX_REDIRECTS = 5

Post = Callable[[str, Mapping[str, str], bytes], Awaitable[Answer | None]]
"""(url, headers, body) → the final answer, None when there was none in time."""


@asynccontextmanager
async def open_poster(max_connections: int) -> AsyncIterator[Post]:
    """A ``Post`` that keeps connections alive for 5 s as Node does; cancelling one closes its own.

    Certificates are verified against the system's trust, or the file in ``SSL_CERT_FILE``.
    """
    # httpx logs each URL at INFO, and a webhook URL holds a secret.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    async with httpx.AsyncClient(
        verify=ssl.create_default_context(),
        timeout=None,  # noqa: S113 -- bounded as a whole below, as axios bounds it
        limits=httpx.Limits(
            max_connections=max_connections,
            max_keepalive_connections=max_connections,
            keepalive_expiry=NODE_KEEPS_IDLE_S,
        ),
        follow_redirects=True,
        max_redirects=AXIOS_MAX_REDIRECTS,
        trust_env=False,
    ) as client:

        async def post(url: str, headers: Mapping[str, str], body: bytes) -> Answer | None:
            with trio.move_on_after(REQUEST_TIMEOUT_S):
                try:
                    async with client.stream(
                        "POST", url, headers=headers, content=body
                    ) as response:
                        async for _ in response.aiter_raw():
                            pass  # an answer's body means nothing to Evolution
                        was_get = response.request.method == "GET"
                        return Answer(response.status_code, was_get=was_get)
                except (httpx.TransportError, httpx.TooManyRedirects):
                    return None
            return None

        yield post
