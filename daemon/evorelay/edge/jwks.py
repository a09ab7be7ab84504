"""The public keys that sign agents' tokens (a JSON Web Key Set), fetched and kept.

Truths: one task fetches, so a vanishing client never cuts a fetch others wait for; the last good
set stays until another good one replaces it; only EC P-256 and RSA public keys come in, each bound
to one algorithm, so that no token chooses how it is verified (RFC 8725 §2.1).
"""

import json
import logging
from typing import Any

import jwt
import trio
from msgspec import Struct

from evorelay.edge.http_client import FetchFailed, HttpClient
from evorelay.model.clock import NowMs

logger = logging.getLogger(__name__)

REFRESH_S = 600.0
"""Supabase's edge caches the set for 10 minutes; asking more often learns nothing."""
RETRY_FIRST_S = 5.0
UNKNOWN_KID_INTERVAL_S = 30.0
"""A stranger's made-up key ids cause one request per this time, no more."""
FETCH_DEADLINE_S = 10.0

_KEYS_MAX = 64
_RSA_BITS_MIN = 2048
_PUBLIC_MEMBERS = {"EC": ("kty", "crv", "x", "y"), "RSA": ("kty", "n", "e")}
_ALGORITHMS = {"EC": "ES256", "RSA": "RS256"}


class JwksStatistics(Struct, frozen=True, kw_only=True):
    """For health and metrics."""

    keys: int
    last_success_at: int | None
    """Unix ms; None until the first success."""
    failures_in_a_row: int
    failures: int
    last_error: str | None
    """Why the last fetch failed; None when it succeeded."""


class Jwks:
    """The key set of one URL. Without ``run`` as a task it stays as it is: empty."""

    def __init__(self, url: str, client: HttpClient, now: NowMs) -> None:
        self._url = url
        self._client = client
        self._now = now
        self._keys: dict[str, jwt.PyJWK] = {}
        self._generation = 0
        self._wanted = trio.Event()
        self._fetched = trio.Event()
        self._fetching = False
        self._last_asked = -float("inf")
        self._last_success_at: int | None = None
        self._failures_in_a_row = 0
        self._failures = 0
        self._last_error: str | None = None

    @property
    def generation(self) -> int:
        """Changes with every set taken over: what older sets verified must be verified again."""
        return self._generation

    @property
    def ever_fetched(self) -> bool:
        return self._last_success_at is not None

    def statistics(self) -> JwksStatistics:
        return JwksStatistics(
            keys=len(self._keys),
            last_success_at=self._last_success_at,
            failures_in_a_row=self._failures_in_a_row,
            failures=self._failures,
            last_error=self._last_error,
        )

    async def key(self, kid: str) -> jwt.PyJWK | None:
        """Return the key of this id, bound to its algorithm; None when the set has none.

        A known id answers at once. For an unknown one the set is fetched again, at most once per
        ``UNKNOWN_KID_INTERVAL_S`` for all callers together, who wait for that one fetch and no
        longer than its deadline. Cancelling is safe.
        """
        key = self._keys.get(kid)
        if key is not None:
            return key
        if not self._fetching and not self._wanted.is_set():
            # Counted apart from the regular fetches: a key made right after one is found at once.
            if trio.current_time() - self._last_asked < UNKNOWN_KID_INTERVAL_S:
                return None
            self._last_asked = trio.current_time()
            self._wanted.set()
        with trio.move_on_after(FETCH_DEADLINE_S):
            await self._fetched.wait()
        return self._keys.get(kid)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Fetch now, every ``REFRESH_S``, and when an unknown key id asks; back off on failure.

        Starts without waiting for the first fetch: an identity provider that is away keeps agents
        out but stops no webhook.
        """
        task_status.started()
        while True:
            self._wanted = trio.Event()
            await self._refresh()
            with trio.move_on_after(self._pause_s()):
                await self._wanted.wait()

    def _pause_s(self) -> float:
        if self._failures_in_a_row == 0:
            return REFRESH_S
        doublings = min(self._failures_in_a_row - 1, 10)
        return min(RETRY_FIRST_S * (1 << doublings), REFRESH_S)

    async def _refresh(self) -> None:
        self._fetching = True
        try:
            body = await self._client.get(self._url, deadline_s=FETCH_DEADLINE_S)
            self._take(usable_keys(body))
        except FetchFailed as error:
            self._failures += 1
            self._failures_in_a_row += 1
            self._last_error = str(error)
            logger.warning("auth.jwks_url: %s; keeping %d keys", error, len(self._keys))
        finally:
            self._fetching = False
            self._fetched.set()
            self._fetched = trio.Event()

    def _take(self, keys: dict[str, jwt.PyJWK]) -> None:
        self._keys = keys
        self._generation += 1
        self._last_success_at = self._now()
        self._failures_in_a_row = 0
        self._last_error = None


def usable_keys(body: bytes) -> dict[str, jwt.PyJWK]:
    """The keys of a JWKS document by id; of two with one id the first.

    Others are passed over: symmetric ones (a self-hosted Supabase may publish its secret there),
    other curves, short RSA keys, encryption keys, keys without an id. Raises FetchFailed when the
    document is not a JWKS or no key is left, so that an accident at the provider locks nobody out.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise FetchFailed("answered something that is not JSON") from None
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise FetchFailed("answered JSON that is not a key set")
    keys: dict[str, jwt.PyJWK] = {}
    for entry in entries[:_KEYS_MAX]:
        key = _public_key(entry) if isinstance(entry, dict) else None
        if key is not None:
            keys.setdefault(entry["kid"], key)
    if not keys:
        raise FetchFailed("the key set has no usable ES256 or RS256 key")
    return keys


def _public_key(entry: dict[str, Any]) -> jwt.PyJWK | None:
    kind = entry.get("kty")
    if kind not in ("EC", "RSA") or not isinstance(entry.get("kid"), str):
        return None
    algorithm = _ALGORITHMS[kind]
    if entry.get("alg", algorithm) != algorithm or entry.get("use", "sig") != "sig":
        return None
    if kind == "EC" and entry.get("crv") != "P-256":
        return None
    # Only the public members: a private key published by mistake is not even parsed.
    public = {name: entry[name] for name in _PUBLIC_MEMBERS[kind] if name in entry}
    if not all(isinstance(value, str) for value in public.values()):
        return None
    try:
        key = jwt.PyJWK(public, algorithm)
    except (jwt.PyJWTError, ValueError):
        return None
    if kind == "RSA" and key.key.key_size < _RSA_BITS_MIN:
        return None
    return key
