"""Which pages may speak Engine.IO with us, whatever the transport, and who is trusted (P7)."""

import pytest

from tests.edge.engine_port import (
    UPGRADE,
    Echo,
    open_engine,
    polling,
    request,
    websocket,
)
from tests.edge.harness import Response, until

APP = "https://app.example"
ALLOWED = {"allowed_origins": (APP,)}
CORS = (
    "access-control-allow-origin",
    "access-control-allow-credentials",
    "access-control-allow-methods",
    "access-control-allow-headers",
)


def cors_of(answer: Response) -> dict[str, str]:
    return {name: answer.headers[name] for name in CORS if name in answer.headers}


FORBIDDEN = {"code": 4, "message": "Forbidden"}
READABLE = {"access-control-allow-origin": APP, "access-control-allow-credentials": "true"}


async def test_a_page_of_ours_may_read_every_answer() -> None:
    async with open_engine(auth=ALLOWED) as port:
        answer = await port.ask("GET", polling(), b"", f"Origin: {APP}")
        assert answer.status == 200
        sid = await port.open()
        answers = [
            answer,
            await port.ask("POST", polling(sid), b"4hello", f"Origin: {APP}"),
            await port.ask("GET", polling(sid), b"", f"Origin: {APP}"),
            await port.ask("GET", polling("nobody"), b"", f"Origin: {APP}"),
            await port.ask("POST", polling(sid), b"4" + bytes(70_000), f"Origin: {APP}"),
        ]
        assert [answer.status for answer in answers] == [200, 200, 200, 400, 413]
        assert [cors_of(answer) for answer in answers] == [READABLE] * 5
        assert {answer.headers["vary"] for answer in answers} == {"Origin"}


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "null", "http://app.example", "https://app.example:8443", "nonsense"],
)
async def test_a_foreign_page_is_refused_before_anything_happens(origin: str) -> None:
    echo = Echo()
    async with open_engine(echo, auth=ALLOWED) as port:
        sid = await port.open()
        for answer in (
            await port.ask("GET", polling(), b"", f"Origin: {origin}"),
            await port.ask("GET", polling(sid), b"", f"Origin: {origin}"),
            await port.ask("POST", polling(sid), b"4hello", f"Origin: {origin}"),
            await port.ask("OPTIONS", polling(), b"", f"Origin: {origin}"),
            await port.ask("GET", websocket(), b"", *UPGRADE, f"Origin: {origin}"),
            await port.ask("GET", websocket(sid), b"", *UPGRADE, f"Origin: {origin}"),
        ):
            assert (answer.status, answer.json) == (403, FORBIDDEN)
            assert cors_of(answer) == {}
        assert len(port.server) == 1
        assert (await port.post(sid, b"4mine")).status == 200
        assert (await port.get(sid)).body == b"4mine"


async def test_who_is_no_page_needs_no_origin() -> None:
    async with open_engine(auth=ALLOWED) as port:
        answer = await port.ask("GET", polling())
        assert answer.status == 200
        assert cors_of(answer) == {}


@pytest.mark.parametrize(
    ("origin", "status"),
    [("http://relay", 200), ("https://relay", 403), ("http://relay:81", 403), (APP, 403)],
)
async def test_without_a_list_our_own_page_is_the_one_allowed(origin: str, status: int) -> None:
    async with open_engine() as port:
        assert (await port.ask("GET", polling(), b"", f"Origin: {origin}")).status == status
        upgrade = await port.ask("GET", websocket(), b"", *UPGRADE, f"Origin: {origin}")
        assert upgrade.status == (101 if status == 200 else 403)


@pytest.mark.parametrize(("proxies", "status"), [((), 403), (("127.0.0.1/32",), 200)])
async def test_a_trusted_proxy_says_how_the_page_reached_us(
    proxies: tuple[str, ...], status: int
) -> None:
    forwarded = ("X-Forwarded-Proto: https", "X-Forwarded-Host: crm.example")
    async with open_engine(server={"trusted_proxies": proxies}) as port:
        page = "Origin: https://crm.example"
        assert (await port.ask("GET", polling(), b"", *forwarded, page)).status == status


@pytest.mark.parametrize(
    ("asked", "allowed"),
    [
        (None, "Authorization, Content-Type"),
        ("authorization,x-tenant", "authorization,x-tenant"),
        ("Authorization, X-Client-Version", "Authorization, X-Client-Version"),
        ("bad name", "Authorization, Content-Type"),
        ("x" * 2000, "Authorization, Content-Type"),
    ],
)
async def test_a_browser_that_asks_first_is_told_what_it_may(
    asked: str | None, allowed: str
) -> None:
    async with open_engine(auth=ALLOWED) as port, await port.connect() as client:
        headers = [f"Origin: {APP}", "Access-Control-Request-Method: POST"]
        if asked is not None:
            headers.append(f"Access-Control-Request-Headers: {asked}")
        answer = await client.call(request("OPTIONS", polling(), b"", *headers))
        assert answer.status == 204
        assert "content-length" not in answer.headers
        assert cors_of(answer) == READABLE | {
            "access-control-allow-methods": "GET, POST, OPTIONS",
            "access-control-allow-headers": allowed,
        }
        assert int(answer.headers["access-control-max-age"]) > 0
        assert await port.open(client), "the connection goes on"


class TestTheOpenMode:
    """``auth.mode = "open"``: on this machine, without a proxy, under a name of this machine."""

    @pytest.mark.parametrize(
        ("headers", "is_trusted"),
        [
            ((), True),
            (("Origin: http://localhost:5173",), True),
            (("X-Forwarded-For: 127.0.0.1",), False),
        ],
    )
    @pytest.mark.parametrize("is_polling", [True, False], ids=["polling", "websocket"])
    async def test_who_is_trusted(
        self, headers: tuple[str, ...], is_trusted: bool, is_polling: bool
    ) -> None:
        echo = Echo()
        auth = {"mode": "open", "allowed_origins": ("http://localhost:5173",)}
        async with open_engine(echo, auth=auth) as port, await port.connect() as client:
            query = polling() if is_polling else websocket()
            lines = headers if is_polling else (*UPGRADE, *headers)
            data = request("GET", query, b"", *lines).replace(b"Host: relay", b"Host: localhost")
            assert (await client.call(data)).status in (101, 200)
            await until(lambda: bool(echo.sockets))
            trusted = echo.sockets[0].request.trusted
            assert (trusted is not None) == is_trusted
            if trusted is not None:
                assert trusted.role == "admin"

    async def test_a_name_that_is_not_this_machines_is_not_trusted(self) -> None:
        """A hostile page may have its own name resolve to 127.0.0.1."""
        echo = Echo()
        async with open_engine(echo, auth={"mode": "open"}) as port:
            await port.open()
            await until(lambda: bool(echo.sockets))
            assert echo.sockets[0].request.trusted is None

    async def test_a_page_of_somebody_elses_is_refused_altogether(self) -> None:
        async with open_engine(auth={"mode": "open"}) as port, await port.connect() as client:
            data = request("GET", polling(), b"", "Origin: https://evil.example")
            answer = await client.call(data.replace(b"Host: relay", b"Host: localhost"))
            assert answer.status == 403

    async def test_otherwise_nobody_is(self) -> None:
        echo = Echo()
        async with open_engine(echo) as port, await port.connect() as client:
            data = request("GET", polling()).replace(b"Host: relay", b"Host: localhost")
            assert (await client.call(data)).status == 200
            await until(lambda: bool(echo.sockets))
            assert echo.sockets[0].request.trusted is None


async def test_a_handler_sees_the_request_but_no_print_of_it_shows_a_credential() -> None:
    echo = Echo()
    async with open_engine(echo) as port:
        await port.ask("GET", polling(), b"", "Authorization: Bearer s3cret-token")
        await until(lambda: bool(echo.sockets))
        seen = echo.sockets[0].request
        assert seen.header(b"authorization") == "Bearer s3cret-token"
        assert seen.header(b"cookie") is None
        assert seen.peer == "127.0.0.1"
        assert "s3cret" not in repr(seen)
