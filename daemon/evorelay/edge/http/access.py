"""Who is asking (P7): the credential of a request, and the few rules that go without one."""

from quart import Request

from evorelay.config import AuthConfig, MetricsConfig
from evorelay.edge.auth import Authenticator, not_open_because, open_principal
from evorelay.model.errors import Code, Refusal
from evorelay.model.principal import Principal
from evorelay.protocol.origin import OriginPolicy
from evorelay.protocol.peers import Headers, Networks, is_forwarded


class Access:
    def __init__(
        self, auth: AuthConfig, scrape: MetricsConfig, authenticator: Authenticator
    ) -> None:
        """Raise ConfigError for an origin or a network that cannot be used."""
        self._auth = auth
        self._authenticator = authenticator
        self._origins = OriginPolicy(auth.allowed_origins)
        self._scrapers = Networks("metrics.allow_from", scrape.allow_from)

    async def principal(self, request: Request) -> Principal:
        """Return who sent the request. Raises Refusal (401, or 503 while keys cannot be had).

        The credential is ``Authorization: Bearer`` and nothing else: a token in a URL ends up in
        logs and in other sites' Referer headers.
        """
        principal = await self._offered(request)
        if principal is not None:
            return principal
        needed = "send a token in the header Authorization: Bearer"
        if self._auth.mode != "open":
            raise Refusal(Code.UNAUTHORIZED, needed)
        reason = self._not_open_because(request)
        if reason is not None:
            raise Refusal(Code.UNAUTHORIZED, f'auth.mode "open" does not apply: {reason}; {needed}')
        return open_principal()

    async def insider(self, request: Request) -> Principal | None:
        """Return who sent the request if that is somebody with a role here, else None.

        For what a stranger may ask too and gets less of. Never raises: a monitor whose token is
        bad must still learn whether the daemon is well.
        """
        try:
            principal = await self.principal(request)
        except Refusal:
            return None
        return principal if principal.role is not None else None

    async def check_scraper(self, request: Request) -> None:
        """Let a direct peer of ``metrics.allow_from`` pass, and anybody with a role here.

        Forwarding headers void the first: a proxy on this host is a loopback peer for everybody.
        """
        if peer_of(request) in self._scrapers and not is_forwarded(headers_of(request)):
            return
        principal = await self.principal(request)
        if principal.role is None:
            raise Refusal(Code.FORBIDDEN, "this token grants nothing here")

    def allows_page(self, request: Request) -> bool:
        """Whether the web page that sent this request (if any did) may read the answer."""
        return self._origins.allows(
            request.headers.get("Origin"), scheme=request.scheme, host=request.headers.get("Host")
        )

    async def _offered(self, request: Request) -> Principal | None:
        header = request.headers.get("Authorization")
        if header is None:
            return None
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Refusal(Code.UNAUTHORIZED, "the header must be Authorization: Bearer <token>")
        return await self._authenticator.authenticate(token.strip())

    def _not_open_because(self, request: Request) -> str | None:
        reason = not_open_because(peer=peer_of(request), headers=headers_of(request))
        # The origin counts here, where nothing else keeps a page of somebody else's out.
        if reason is None and not self.allows_page(request):
            return "a page of another origin asks, and auth.allowed_origins does not name it"
        return reason


def peer_of(request: Request) -> str | None:
    """The direct peer, as the gate noted it (protocol/peers.py)."""
    peer = request.scope.get("evorelay.peer")
    return peer if isinstance(peer, str) else None


def headers_of(request: Request) -> Headers:
    """Header lines as received; Quart's own mapping adds one (``Remote-Addr``)."""
    return list(request.scope["headers"])
