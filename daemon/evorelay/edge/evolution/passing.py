"""A call of somebody else's, passed on to Evolution with our key (edge/http/api_proxy.py)."""

from typing import Final

import trio

from evorelay.config import MIB
from evorelay.edge.evolution.routes import Route
from evorelay.edge.evolution.wire import Outgoing
from evorelay.model.outcome import FaultKind, GatewayFault

PASSED_MAX: Final = 4 * MIB
DEADLINE_S: Final = 30.0


async def pass_on(route: Route, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
    """Status and body of the answer. ``path`` is encoded, with its query.

    Raises ``GatewayFault`` for what is no whole answer, and for a redirect, which is not followed:
    the key is for the configured address alone.
    """
    headers = {"apikey": route.api_key}
    if body is not None:
        headers["content-type"] = "application/json"
    answer = await route.wire.exchange(
        Outgoing(method=method, url=route.base_url + path, headers=headers, content=body or b""),
        bytes_max=PASSED_MAX,
        deadline=trio.current_time() + min(DEADLINE_S, route.timeout_s),
    )
    if 300 <= answer.status < 400:
        raise GatewayFault(
            FaultKind.GATEWAY_DOWN,
            "redirect",
            "Evolution redirects this call; set evolution.url to its final address.",
        )
    if len(answer.body) > PASSED_MAX:
        raise GatewayFault(
            FaultKind.PERMANENT,
            "too_large",
            f"Evolution's answer is over {PASSED_MAX} bytes; ask for less at once.",
        )
    if answer.is_cut:
        raise GatewayFault(FaultKind.RETRY, "cut_off", "Evolution did not answer completely.")
    return answer.status, answer.body
