"""Outgoing HTTP: the one module of the daemon that imports httpx, which is dormant upstream.

HTTP/1.1 on purpose: with HTTP/2 a cancelled request broke others on its connection (research:
libraries 5). TLS is verified always; there is no switch (P7). The environment decides nothing:
no proxy variables, no netrc.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import trio

from evorelay.config import KIB
from evorelay.model.errors import RelayError


class FetchFailed(RelayError):
    """No usable answer; the text says why, without the URL, which may hold a key."""

    retryable = True


class HttpClient:
    """Made by ``open_http_client``."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def get(self, url: str, *, bytes_max: int = 256 * KIB, deadline_s: float = 10.0) -> bytes:
        """Return the body of a 200 answer of at most ``bytes_max`` bytes.

        Raises FetchFailed for every other outcome, a redirect included, and when the whole of it
        takes longer than ``deadline_s``: httpx's own time-outs are per socket operation, which a
        server that drips bytes never meets. Cancelling closes the connection.
        """
        try:
            with trio.fail_after(deadline_s):
                async with self._client.stream("GET", url) as response:
                    return await _body(response, bytes_max)
        except trio.TooSlowError:
            raise FetchFailed(f"no complete answer within {deadline_s:g} s") from None
        except httpx.InvalidURL:
            raise FetchFailed("the URL is malformed") from None  # the cause would quote it
        except httpx.HTTPError as error:
            raise FetchFailed(_reason(error)) from error


@asynccontextmanager
async def open_http_client() -> AsyncIterator[HttpClient]:
    """One client for the whole daemon: making the TLS context takes milliseconds."""
    context = httpx.create_ssl_context(trust_env=False)  # certifi's authorities …
    context.load_default_certs()  # … and this machine's, where a company adds its own
    async with httpx.AsyncClient(
        verify=context,
        http1=True,
        http2=False,
        follow_redirects=False,
        trust_env=False,
        timeout=httpx.Timeout(10.0),
        limits=httpx.Limits(max_connections=16, max_keepalive_connections=4),
        # A small compressed answer can be a large one; the bound is on what we would hold.
        headers={"accept-encoding": "identity", "user-agent": "evorelay"},
    ) as client:
        yield HttpClient(client)


async def _body(response: httpx.Response, bytes_max: int) -> bytes:
    if response.status_code != 200:
        hint = "; configure the final URL" if response.is_redirect else ""
        raise FetchFailed(f"answered {response.status_code}{hint}")
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise FetchFailed("answered with a compressed body although none was asked for")
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > bytes_max:
            raise FetchFailed(f"answered more than {bytes_max} bytes")
    return bytes(body)


def _reason(error: BaseException) -> str:
    """The first text along the causes: httpx's own is empty for TLS failures on Trio."""
    cause: BaseException | None = error
    while cause is not None:
        if str(cause):
            return str(cause)
        cause = cause.__cause__ or cause.__context__
    return type(error).__name__
