"""Files from addresses that others name, without being led where they must not lead us.

An agent's URL, or a message's ``mediaUrl``, is a stranger's word about whom we call. So a name is
resolved once, every address it has is judged (``may_reach``), and the connection goes to one of
those very addresses: what the resolver says a moment later (DNS rebinding) decides nothing. TLS is
verified against the name. Redirects are followed by hand, each judged like the first address.
Nothing of ours goes out: no cookies, no credentials, no proxy, no netrc.
"""

import ssl
from collections.abc import Callable, Iterable

import httpx
import trio
from werkzeug.http import parse_options_header

from evorelay.model.errors import ConfigError
from evorelay.protocol.filetypes import fit_filename, plain_mimetype
from evorelay.protocol.public_address import is_public
from evorelay.relay.blobs import BlobStore
from evorelay.relay.downloading import Downloaded, DownloadRefused
from evorelay.settings.values import parse_host

DEADLINE_S = 60.0
"""Of one download, redirects and all. An agent waits for it."""
REDIRECTS_MAX = 3
AT_ONCE_MAX = 16
_SILENCE_S = 10.0
_ADDRESSES_MAX = 4
"""Tried one after the other."""
_PASSING = (408, 425, 429)
"""Of the statuses 4xx, those that say "not now"."""

Reach = Callable[[str, int, str], bool]
"""(host, port, address): whether a connection may be made. The host is in lower case."""


def public_web(host: str, port: int, address: str) -> bool:
    """Where a client may send us: web servers of the public Internet, on their own ports.

    Files for customers lie nowhere else, and we are nobody's port scanner.
    """
    return port in (80, 443) and is_public(address)


def public_or_one_of(hosts: Iterable[str]) -> Reach:
    """Where a message's file may be: the public Internet, and these hosts (``host``, or
    ``host:port``, or a URL), whatever their address. Raises ``ConfigError`` for what is no host.
    """
    try:
        own = {parse_host(host) for host in hosts}
    except ValueError as error:
        raise ConfigError(f"media.allow_hosts: {error}") from None

    def may_reach(host: str, port: int, address: str) -> bool:
        return is_public(address) or (host, port) in own or (host, None) in own

    return may_reach


class Downloads:
    """``Downloader`` (relay/downloading.py) for one policy of where it may lead."""

    def __init__(
        self,
        blobs: BlobStore,
        *,
        bytes_max: int,
        may_reach: Reach,
        tls: ssl.SSLContext,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        """``tls`` verifies; nothing here can turn that off."""
        self._blobs = blobs
        self._bytes_max = bytes_max
        self._may_reach = may_reach
        self._tls = tls
        self._deadline_s = deadline_s
        self._turns = trio.CapacityLimiter(AT_ONCE_MAX)

    async def fetch(self, url: str) -> Downloaded:
        """As in ``Downloader``."""
        try:
            with trio.fail_after(self._deadline_s):
                async with self._turns:
                    return await self._follow(url)
        except trio.TooSlowError:
            raise _refused(
                f"the file did not come whole within {self._deadline_s:g} s", is_permanent=False
            ) from None

    async def _follow(self, url: str) -> Downloaded:
        target = _target(url)
        for _ in range(REDIRECTS_MAX + 1):
            found = await self._call(target)
            if isinstance(found, Downloaded):
                return found
            target = _target(found, target)
        raise _refused(f"the address leads on more than {REDIRECTS_MAX} times", is_permanent=True)

    async def _call(self, target: httpx.URL) -> Downloaded | str:
        """The file, or where it is instead."""
        for address in await self._addresses(target):
            try:
                return await self._get(target, address)
            except UnicodeError:  # httpx reads a redirect it was told not to follow
                raise _refused(
                    "the address leads to no host that can be", is_permanent=True
                ) from None
            except httpx.HTTPError as error:
                failed = _failed(error)
                if not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
                    break  # else there may be another way, where this machine has no IPv6
        raise failed

    async def _addresses(self, target: httpx.URL) -> list[str]:
        """Where the name leads; all of it is allowed."""
        host, port = target.raw_host.decode("ascii"), _port(target)
        try:
            found = await trio.socket.getaddrinfo(host, port, type=trio.socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise _refused("there is no host of this name", is_permanent=False) from None
        addresses = list(dict.fromkeys(str(info[4][0]) for info in found))
        if not addresses or not all(self._may_reach(host, port, one) for one in addresses):
            raise _refused(
                "files are fetched from web servers of the public Internet only; hand this one in "
                "with POST /v1/media instead",
                is_permanent=True,
            )
        return addresses[:_ADDRESSES_MAX]

    async def _get(self, target: httpx.URL, address: str) -> Downloaded | str:
        # A client for each call: a connection kept for one name must not serve another one.
        async with (
            httpx.AsyncClient(
                verify=self._tls,
                trust_env=False,
                follow_redirects=False,
                timeout=httpx.Timeout(_SILENCE_S),
                headers={"user-agent": "evorelay"},
            ) as client,
            client.stream(
                "GET",
                target.copy_with(host=address),
                headers={
                    "host": target.netloc.decode("ascii"),
                    # A small compressed answer can be a large file.
                    "accept-encoding": "identity",
                    "connection": "close",
                },
                extensions={"sni_hostname": target.raw_host.decode("ascii")},
            ) as response,
        ):
            if response.has_redirect_location:
                return str(response.headers["location"])
            self._check_head(response)
            return await self._take(target, response)

    def _check_head(self, response: httpx.Response) -> None:
        status = response.status_code
        if status != 200:
            is_permanent = 400 <= status < 500 and status not in _PASSING
            raise _refused(f"the server answers {status}", is_permanent=is_permanent)
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise _refused("the server sends the file compressed, unasked", is_permanent=True)
        if plain_mimetype(response.headers.get("content-type")) == "text/html":
            raise _refused(
                "there is a web page at this address and not a file; maybe one has to log in",
                is_permanent=True,
            )
        length = response.headers.get("content-length", "")
        if length.isdecimal() and int(length[:20]) > self._bytes_max:
            raise self._too_large()

    async def _take(self, target: httpx.URL, response: httpx.Response) -> Downloaded:
        size = 0
        async with self._blobs.open_sink() as sink:
            async for chunk in response.aiter_raw():
                size += len(chunk)
                if size > self._bytes_max:
                    raise self._too_large()
                await sink.write(chunk)
            if not size:
                raise _refused("the file is empty", is_permanent=True)
            blob = await sink.commit()
        return Downloaded(
            blob=blob,
            size=size,
            mimetype=response.headers.get("content-type"),
            filename=_filename(target, response),
        )

    def _too_large(self) -> DownloadRefused:
        return DownloadRefused(
            f"the file is larger than {self._bytes_max} bytes (media.max_bytes)",
            is_permanent=True,
            is_too_large=True,
        )


def _target(url: str, base: httpx.URL | None = None) -> httpx.URL:
    try:
        target = httpx.URL(url) if base is None else base.join(url)
    except (httpx.InvalidURL, UnicodeError):
        raise _refused("this is not a URL", is_permanent=True) from None
    # ``raw_host``, because ``host`` raises for a malformed A-label: ``xn--``.
    if target.scheme not in ("http", "https") or not target.raw_host or _port(target) > 65535:
        raise _refused("a file's URL begins with https:// or http://", is_permanent=True)
    if target.userinfo:
        raise _refused("the URL must not hold a user name or a password", is_permanent=True)
    return target


def _port(target: httpx.URL) -> int:
    return target.port or (443 if target.scheme == "https" else 80)


def _filename(target: httpx.URL, response: httpx.Response) -> str | None:
    _, said = parse_options_header(response.headers.get("content-disposition", ""))
    name = said.get("filename") or target.path.rpartition("/")[2]
    return fit_filename(name)


def _failed(error: httpx.HTTPError) -> DownloadRefused:
    """httpx's own texts may quote what they were given; these do not."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return _refused("the server's certificate cannot be verified", is_permanent=False)
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, httpx.TimeoutException):
        return _refused("the server does not answer", is_permanent=False)
    if isinstance(error, httpx.ConnectError):
        return _refused("the server cannot be reached", is_permanent=False)
    return _refused("the server broke off, or speaks no HTTP", is_permanent=False)


def _refused(message: str, *, is_permanent: bool) -> DownloadRefused:
    return DownloadRefused(message, is_permanent=is_permanent)
