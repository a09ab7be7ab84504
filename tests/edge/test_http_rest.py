"""REST v1: what may be asked, who gets which answer, and what is refused (P7)."""

import json
from pathlib import Path
from typing import Any

import pytest

from evorelay.model.errors import StoreUnavailable
from evorelay.storage.ports import TicketQuery
from evorelay.storage.sqlite.reader import SqliteReader
from tests.edge.http_world import World, error_of, open_world, token

ANA = "5511988880001"
BIA = "5511988880002"


async def first_ticket(world: World, who: str) -> dict[str, Any]:
    tickets = (await world.get("/v1/tickets", who))["tickets"]
    ticket: dict[str, Any] = tickets[0]
    return ticket


async def test_a_webhook_is_read_as_a_ticket_and_a_message(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.message(ANA, "Oi! Chegou?")
        ticket = await first_ticket(world, token())
        assert ticket["contact"]["phone"] == ANA
        assert ticket["status"] == "open"
        assert ticket == await world.get(f"/v1/tickets/{ticket['id']}", token())
        page = await world.get(f"/v1/tickets/{ticket['id']}/messages", token())
        assert [message["content"] for message in page["messages"]] == ["Oi! Chegou?"]
        assert page["next_cursor"] is None
        instances = await world.get("/v1/instances", token())
        assert [instance["name"] for instance in instances["instances"]] == ["loja"]


async def test_pages_of_tickets_join_without_overlap(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        for last in range(5):
            await world.message(f"551198888000{last}", "Oi")
        seen = []
        page = await world.get("/v1/tickets?limit=2", token())
        while True:
            seen += [ticket["contact"]["phone"][-1] for ticket in page["tickets"]]
            if page["next_cursor"] is None:
                break
            page = await world.get(f"/v1/tickets?limit=2&cursor={page['next_cursor']}", token())
        assert seen == ["4", "3", "2", "1", "0"]


async def test_pages_of_messages_are_in_reading_order_both_ways(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        for word in ("um", "dois", "três"):
            await world.message(ANA, word)
        ticket = await first_ticket(world, token())
        path = f"/v1/tickets/{ticket['id']}/messages"
        newest = await world.get(f"{path}?limit=2", token())
        assert [message["content"] for message in newest["messages"]] == ["dois", "três"]
        older = await world.get(f"{path}?limit=2&before={newest['next_cursor']}", token())
        assert [message["content"] for message in older["messages"]] == ["um"]
        newer = await world.get(f"{path}?after={older['messages'][0]['id']}", token())
        assert newer["messages"] == newest["messages"]


async def test_another_instances_ticket_looks_like_none(tmp_path: Path) -> None:
    """P7: 404 for a foreign ticket, word for word what an unknown one gets."""
    async with open_world(tmp_path) as world:
        await world.message(ANA, "Oi", instance="loja")
        ticket = await first_ticket(world, token())
        stranger = token(instances=["outra"])
        assert await world.get("/v1/tickets", stranger) == {"tickets": [], "next_cursor": None}
        assert await world.get("/v1/instances", stranger) == {
            "instances": [],
            "next_cursor": None,
        }
        for path in ("", "/messages"):
            foreign = await world.ask(f"/v1/tickets/{ticket['id']}{path}", token=stranger)
            unknown = await world.ask(f"/v1/tickets/nothing{path}", token=stranger)
            assert await error_of(foreign) == (404, "not_found")
            assert await foreign.get_data() == await unknown.get_data()
        change = await world.ask(
            f"/v1/tickets/{ticket['id']}", method="PATCH", token=stranger, body={"status": "closed"}
        )
        assert await error_of(change) == (404, "not_found")
        assert await first_ticket(world, token()) == ticket


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "unauthorized"),
        ({"Authorization": "Bearer "}, "unauthorized"),
        ({"Authorization": "Bearer not.a.token"}, "unauthorized"),
        ({"Authorization": "Basic YTpi"}, "unauthorized"),
        ({"Authorization": f"Bearer {token(ttl_s=-60)}"}, "token_expired"),
    ],
)
async def test_nothing_is_read_without_a_valid_token(
    tmp_path: Path, headers: dict[str, str], code: str
) -> None:
    """P7, for every operation."""
    async with open_world(tmp_path) as world:
        for path in ("/v1/tickets", "/v1/tickets/x", "/v1/tickets/x/messages", "/v1/instances"):
            response = await world.ask(path, headers=headers)
            assert await error_of(response) == (401, code)
            assert response.headers["WWW-Authenticate"] == "Bearer"


async def test_a_token_in_the_query_string_is_no_credential(tmp_path: Path) -> None:
    """P7: URLs end up in logs."""
    async with open_world(tmp_path) as world:
        for name in ("token", "access_token", "authorization"):
            response = await world.ask(f"/v1/tickets?{name}={token()}")
            assert await error_of(response) == (401, "unauthorized")


async def test_a_token_that_grants_nothing_sees_nothing(tmp_path: Path) -> None:
    """P7: any user of the same identity provider may hold such a token."""
    async with open_world(tmp_path) as world:
        await world.message(ANA, "Oi")
        ticket = await first_ticket(world, token())
        nobody = token(role=None)
        assert (await world.get("/v1/tickets", nobody))["tickets"] == []
        assert (await world.get("/v1/instances", nobody))["instances"] == []
        response = await world.ask(f"/v1/tickets/{ticket['id']}", token=nobody)
        assert await error_of(response) == (404, "not_found")


async def test_the_quarantine_takes_a_supervisor(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.webhook({"event": "messages.upsert", "instance": "loja", "data": "odd"})
        response = await world.ask("/v1/quarantine", token=token("agent"))
        assert await error_of(response) == (403, "forbidden")
        page = await world.get("/v1/quarantine", token("supervisor"))
        assert [entry["event"] for entry in page["quarantine"]] == ["messages.upsert"]


async def test_an_entry_of_quarantine_shows_what_the_webhook_said(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        said = {"event": "messages.upsert", "instance": "loja", "data": "odd"}
        await world.webhook(said)
        (entry,) = (await world.get("/v1/quarantine", token("supervisor")))["quarantine"]
        path = f"/v1/quarantine/{entry['id']}"
        whole = await world.get(path, token("supervisor"))
        assert json.loads(whole.pop("body")) == said
        assert whole == {**entry, "body_truncated": False, "body_blob": None}
        assert await error_of(await world.ask(path, token=token("agent"))) == (403, "forbidden")
        stranger = token("supervisor", ["filial"])
        assert await error_of(await world.ask(path, token=stranger)) == (404, "not_found")


async def test_open_mode_serves_this_machine_and_no_page_of_others(tmp_path: Path) -> None:
    """P7: neither through a proxy, nor from another host, nor for a page from elsewhere."""
    async with open_world(tmp_path, mode="open") as world:
        local = {"Host": "localhost:4000"}
        assert (await world.ask("/v1/tickets", headers=local)).status_code == 200
        own_page = local | {"Origin": "http://localhost:4000"}
        assert (await world.ask("/v1/tickets", headers=own_page)).status_code == 200
        for headers, reason in (
            (local | {"X-Forwarded-For": "203.0.113.7"}, "a proxy"),
            (local | {"Origin": "https://evil.example"}, "auth.allowed_origins"),
            ({"Host": "evil.example"}, "the Host header must be localhost"),
        ):
            response = await world.ask("/v1/tickets", headers=headers)
            assert response.status_code == 401
            message = (await response.get_json())["error"]["message"]
            assert message.startswith('auth.mode "open" does not apply: ')
            assert reason in message
        for peer in ("203.0.113.7", None):
            assert (await world.ask("/v1/tickets", headers=local, peer=peer)).status_code == 401


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=many", "limit"),
        ("status=lost", "status"),
        ("q=" + "x" * 201, "q"),
        ("colour=red", "colour"),
        ("limit=1&limit=2", "limit"),
        ("cursor=%ff%00", "cursor"),
        ("cursor=W10=", "cursor"),
        ("cursor=WzExODA1OTE2MjA3MTc0MTEzMDM0MjQsIngiXQ==", "cursor"),  # [2**70, "x"]
    ],
)
async def test_a_bad_parameter_is_named(tmp_path: Path, query: str, name: str) -> None:
    async with open_world(tmp_path) as world:
        response = await world.ask(f"/v1/tickets?{query}", token=token())
        assert await error_of(response) == (400, "bad_request")
        assert name in (await response.get_json())["error"]["message"]


async def test_status_and_assignee_change_together_or_not_at_all(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.message(ANA, "Oi")
        ticket = await first_ticket(world, token())
        path = f"/v1/tickets/{ticket['id']}"
        both = {"status": "pending", "assignee": "ana", "version": ticket["version"]}
        response = await world.ask(path, method="PATCH", token=token(), body=both)
        changed = await response.get_json()
        assert (changed["status"], changed["assignee"]) == ("pending", "ana")
        assert changed["version"] == ticket["version"] + 1
        refused = await world.ask(
            path, method="PATCH", token=token(sub="bia"), body={"status": "closed", "assignee": "x"}
        )
        assert await error_of(refused) == (403, "forbidden")
        assert await world.get(path, token()) == changed


async def test_a_change_of_an_older_version_is_a_conflict(tmp_path: Path) -> None:
    """Two agents decide at once: the second is told instead of overwriting the first."""
    async with open_world(tmp_path) as world:
        await world.message(ANA, "Oi")
        ticket = await first_ticket(world, token())
        path = f"/v1/tickets/{ticket['id']}"
        take = {"assignee": "ana", "version": ticket["version"]}
        assert (await world.ask(path, method="PATCH", token=token(), body=take)).status_code == 200
        late = await world.ask(
            path, method="PATCH", token=token(sub="bia"), body=take | {"assignee": "bia"}
        )
        assert await error_of(late) == (409, "version_conflict")
        unversioned = await world.ask(
            path, method="PATCH", token=token(sub="bia"), body={"assignee": "bia"}
        )
        assert await error_of(unversioned) == (409, "version_conflict")


async def test_a_supervisor_reassigns_and_an_agent_gives_back(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.message(ANA, "Oi")
        ticket = await first_ticket(world, token())
        path = f"/v1/tickets/{ticket['id']}"

        async def patch(who: str, body: dict[str, Any]) -> tuple[int, Any]:
            response = await world.ask(path, method="PATCH", token=who, body=body)
            return response.status_code, (await response.get_json()).get("assignee")

        boss = token("supervisor", sub="eva")
        assert await patch(boss, {"assignee": "ana"}) == (200, "ana")
        assert await patch(boss, {"assignee": "bia"}) == (200, "bia")
        assert await patch(token(sub="ana"), {"assignee": None}) == (403, None)
        assert await patch(token(sub="bia"), {"assignee": None}) == (200, None)


async def test_a_person_never_has_two_open_tickets(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.message(ANA, "Oi")
        ticket = await first_ticket(world, token())
        path = f"/v1/tickets/{ticket['id']}"
        for status in ("closed", "open", "closed"):
            response = await world.ask(path, method="PATCH", token=token(), body={"status": status})
            assert (await response.get_json())["status"] == status
        claim = await world.ask(path, method="PATCH", token=token(), body={"assignee": "ana"})
        assert await error_of(claim) == (409, "ticket_closed")


@pytest.mark.parametrize(
    ("body", "headers", "expected"),
    [
        (b"{", {}, (400, "not_json")),
        (b"[]", {}, (400, "not_json")),
        (b"[" * 60_000, {}, (400, "not_json")),
        (b"\xff", {}, (400, "not_json")),
        (b"", {}, (400, "not_json")),
        (b"{}", {"Content-Type": "text/plain"}, (400, "bad_request")),
        (b'{"status":"lost"}', {}, (400, "bad_request")),
        (b'{"version":"1"}', {}, (400, "bad_request")),
        (b'{"colour":"red"}', {}, (400, "bad_request")),
        (b'{"assignee":""}', {}, (400, "bad_request")),
        (b'{"ticket_id":"another"}', {}, (400, "bad_request")),
        (b'{"status":"' + b"x" * 70_000 + b'"}', {}, (413, "too_large")),
    ],
)
async def test_a_bad_body_changes_nothing(
    tmp_path: Path, body: bytes, headers: dict[str, str], expected: tuple[int, str]
) -> None:
    async with open_world(tmp_path) as world:
        await world.message(ANA, "Oi")
        ticket = await first_ticket(world, token())
        path = f"/v1/tickets/{ticket['id']}"
        response = await world.ask(path, method="PATCH", token=token(), body=body, headers=headers)
        assert await error_of(response) == expected
        assert await world.get(path, token()) == ticket


async def test_a_store_that_is_away_is_503_with_a_time_to_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_: SqliteReader, query: TicketQuery) -> None:
        raise StoreUnavailable("disk I/O error at /secret/place")

    async with open_world(tmp_path) as world:
        monkeypatch.setattr(SqliteReader, "tickets", away)
        response = await world.ask("/v1/tickets", token=token())
        assert await error_of(response) == (503, "unavailable")
        assert int(response.headers["Retry-After"]) > 0
        assert b"secret" not in await response.get_data()


async def test_a_bug_is_500_logged_and_told_to_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: SqliteReader, query: TicketQuery) -> None:
        raise KeyError("inner workings")

    async with open_world(tmp_path) as world:
        monkeypatch.setattr(SqliteReader, "tickets", broken)
        credential = token()
        response = await world.ask("/v1/tickets", token=credential)
        assert await error_of(response) == (500, "internal")
        assert b"inner workings" not in await response.get_data()
        assert "inner workings" in caplog.text
        assert credential not in caplog.text
        monkeypatch.undo()
        assert (await world.ask("/v1/tickets", token=credential)).status_code == 200


async def test_unknown_addresses_and_methods_are_told_apart(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        for path in ("/v1", "/v1/nothing", "/nothing", "/v1//tickets", "/v1/tickets/x/y/z"):
            assert await error_of(await world.ask(path, token=token())) == (404, "not_found")
        wrong = await world.ask("/v1/tickets", method="DELETE", token=token())
        assert await error_of(wrong) == (405, "method_not_allowed")
        assert wrong.headers["Allow"] == "GET, HEAD, OPTIONS"


async def test_only_the_allowed_pages_may_read_answers(tmp_path: Path) -> None:
    """P7: exact origins; the preflight of any other page gets no permission."""
    page = "https://crm.example.com"
    async with open_world(tmp_path, allowed_origins=(page,)) as world:
        preflight = await world.ask(
            "/v1/tickets/x",
            method="OPTIONS",
            headers={"Origin": page, "Access-Control-Request-Method": "PATCH"},
        )
        assert preflight.status_code == 204
        assert preflight.headers["Access-Control-Allow-Origin"] == page
        assert "PATCH" in preflight.headers["Access-Control-Allow-Methods"]
        assert "Authorization" in preflight.headers["Access-Control-Allow-Headers"]
        refused = await world.ask("/v1/tickets", headers={"Origin": page})
        assert refused.headers["Access-Control-Allow-Origin"] == page
        for origin in ("https://evil.example", f"{page}.evil.example", "null", f"{page}:444"):
            response = await world.ask("/v1/tickets", token=token(), headers={"Origin": origin})
            assert "Access-Control-Allow-Origin" not in response.headers
            assert "Origin" in response.headers["Vary"]


async def test_no_answer_with_data_is_cached_or_sniffed(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        for path in ("/v1/tickets", "/v1/nothing", "/webhook/health"):
            response = await world.ask(path, token=token())
            assert response.headers["Cache-Control"] == "no-store"
            assert response.headers["X-Content-Type-Options"] == "nosniff"
