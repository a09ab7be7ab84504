"""Endpoints of the servers we replace (contract §3): their words, our outbox and rules (P7)."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from werkzeug.exceptions import RequestTimeout

from evorelay.model.errors import StoreUnavailable
from evorelay.model.principal import Principal
from evorelay.protocol.webhook import match_path
from evorelay.relay.commands import SendParams, Via
from tests.edge.http_world import World, open_world, text_of, token
from tests.edge.test_http_replies import ANA, open_office, ticket_of

SEND = "/webhook/send-message"
AGENT = Principal(sub="ana", role="agent", instances="*")


async def ask(world: World, path: str, body: Any = None, who: str | None = None) -> tuple[int, Any]:
    response = await world.ask(
        path, method="GET" if body is None else "POST", token=who or token(), body=body
    )
    return response.status_code, await response.get_json()


def test_they_are_no_webhooks() -> None:
    """The gate serves webhooks itself; these it leaves to the application."""
    for path in (SEND, "/webhook/test-send", "/webhook/check-instance/loja", "/api/x/y/z"):
        assert match_path(path) is None


async def test_a_text_is_sent_and_answered_with_its_whatsapp_id(tmp_path: Path) -> None:
    async with open_office(tmp_path) as (world, simulator, instance):
        body = {"phone": "+55 (11) 98888-0001", "text": "Oi!", "instance": instance}
        status, answer = await ask(world, SEND, body | {"extra": 1, "options": {"linkPreview": 1}})
        assert status == 200
        assert answer["success"] is True
        (sent,) = simulator.sent()
        assert answer["messageId"] == sent.id
        assert (sent.recipient, sent.text) == (ANA, "Oi!")
        tickets = (await world.get("/v1/tickets", token()))["tickets"]
        assert [ticket["contact"]["phone"] for ticket in tickets] == [ANA]


async def test_the_same_key_sends_once(tmp_path: Path) -> None:
    """P4. Without a key each call is a message of its own, as it always was."""
    async with open_office(tmp_path) as (world, simulator, instance):
        body = {"phone": ANA, "text": "Oi!", "instance": instance}
        for options in ({"op_id": "a"}, {"op_id": "a"}, {"messageId": "a"}):
            assert (await ask(world, SEND, body | {"options": options}))[0] == 200
        assert simulator.counts() == {(ANA, "Oi!"): 1}
        status, answer = await ask(world, SEND, body | {"text": "Tchau", "options": {"op_id": "a"}})
        assert (status, answer["success"], answer["error"]["code"]) == (
            409,
            False,
            "op_id_conflict",
        )
        for _ in range(2):
            assert (await ask(world, SEND, body))[0] == 200
        assert simulator.counts() == {(ANA, "Oi!"): 3}


async def test_what_a_socket_sent_already_is_not_sent_again(tmp_path: Path) -> None:
    """Contract §6: such front ends emit ``send-message`` and call an endpoint for the same text."""
    async with open_office(tmp_path) as (world, simulator, instance):
        ticket = await ticket_of(world, instance)
        calls: list[tuple[str, dict[str, Any]]] = [
            (SEND, {"phone": ANA, "instance": instance}),
            (f"/api/message/sendText/{instance}", {"number": ANA}),
            (f"/v1/tickets/{ticket}/messages", {"op_id": "by-rest"}),
        ]
        for n, (path, body) in enumerate(calls):
            params = SendParams(ticket_id=ticket, op_id=f"emitted-{n}", content=f"Oi {n}")
            emitted = await world.outbox.submit(AGENT, params, via=Via(path="socketio"))
            said = "content" if "op_id" in body else "text"
            _, answer = await ask(world, path, {**body, said: f"Oi {n}"})
            assert answer["id"] == emitted.id, path
            await world.outbox.wait_final(emitted, 10)
        assert simulator.counts() == {(ANA, f"Oi {n}"): 1 for n in range(3)}
        joined = partial(world.registry.get_sample_value, "evorelay_commands_joined_total")
        assert (joined({"path": "endpoint"}), joined({"path": "rest"})) == (2, 1)


async def test_what_is_not_sent_in_time_is_queued(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.message(ANA, "Oi")
        status, answer = await ask(world, SEND, {"phone": ANA, "text": "Oi!"})
        assert status == 202
        assert answer.keys() == {"success", "queued", "id"}
        assert answer["success"] is True
        (row,) = (await world.get("/v1/outbox", token("supervisor")))["outbox"]
        assert row["message_id"] == answer["id"]


async def test_what_cannot_be_delivered_says_why(tmp_path: Path) -> None:
    async with open_office(tmp_path) as (world, simulator, instance):
        simulator.misbehave("not-on-whatsapp", count=4)
        status, answer = await ask(world, SEND, {"phone": ANA, "text": "Oi!", "instance": instance})
        assert (status, answer["success"]) == (422, False)
        assert answer["error"]["code"] == "not_on_whatsapp"
        assert answer["error"]["message"]


async def test_a_test_message_says_that_it_is_one(tmp_path: Path) -> None:
    async with open_office(tmp_path) as (world, simulator, instance):
        status, _ = await ask(world, "/webhook/test-send", {"phone": ANA, "instance": instance})
        assert status == 200
        (sent,) = simulator.sent()
        assert "test message" in sent.text


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"phone": "abc", "text": "Oi"}, "phone"),
        ({"phone": "12345", "text": "Oi"}, "phone"),
        ({"phone": "11988880001", "text": "Oi"}, "phone"),
        ({"phone": 11988880001, "text": "Oi"}, "phone"),
        ({"phone": None, "text": "Oi"}, "phone"),
        ({"text": "Oi"}, "phone"),
        ({"phone": ANA}, "text"),
        ({"phone": ANA, "text": ""}, "text"),
        ({"phone": ANA, "text": " \n"}, "content"),
        ({"phone": ANA, "text": "x" * 100_000}, "65536"),
        ({"phone": ANA, "text": "Oi", "options": {"delay": 60_000}}, "delay"),
        ({"phone": ANA, "text": "Oi", "options": {"op_id": "x" * 129}}, "op_id"),
        ([], "JSON object"),
    ],
)
async def test_bad_input_is_refused_by_name(tmp_path: Path, body: Any, says: str) -> None:
    async with open_world(tmp_path) as world:
        await world.message(ANA, "Oi")
        status, answer = await ask(world, SEND, body)
        assert status == 400, answer
        assert answer["success"] is False
        assert says in answer["error"]["message"]
        assert (await world.get("/v1/outbox", token("supervisor")))["outbox"] == []


async def test_every_error_says_success_false(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those that no view raises: what the server, the disk or a bug has to say."""
    async with open_world(tmp_path) as world:
        await world.message(ANA, "Oi")
        for fault, status, code in (
            (None, 413, "too_large"),
            (RequestTimeout(), 408, "request_timeout"),
            (StoreUnavailable("the disk is full"), 503, "unavailable"),
            (ZeroDivisionError(), 500, "internal"),
        ):
            text = "x" * 2_000_000
            if fault is not None:
                text = "Oi"
                monkeypatch.setattr(world.app, "dispatch_request", partial(_raise, fault))
            got, answer = await ask(world, SEND, {"phone": ANA, "text": text})
            assert (got, answer["success"], answer["error"]["code"]) == (status, False, code)
        _, answer = await ask(world, "/v1/tickets")
        assert "success" not in answer


async def _raise(fault: Exception, *_: Any) -> None:
    raise fault


async def test_the_instance_must_be_the_callers(tmp_path: Path) -> None:
    """P7: a foreign one and an unknown one are alike; nothing is sent without a credential."""
    async with open_world(tmp_path) as world:
        await world.message(ANA, "Oi")
        for path in (SEND, "/webhook/test-send"):
            body = {"phone": ANA, "text": "Oi", "instance": "loja"}
            response = await world.ask(path, method="POST", body=body)
            assert response.status_code == 401
            assert (await response.get_json())["success"] is False
        stranger = token(instances=["outra"])
        answers = [
            await ask(world, SEND, {"phone": ANA, "text": "Oi", "instance": name}, stranger)
            for name in ("loja", "nothing")
        ]
        assert answers[0] == answers[1]
        assert answers[0][0] == 404
        nobody = token(role=None)
        body = {"phone": ANA, "text": "Oi"}
        assert (await ask(world, SEND, body, nobody))[0] == 403
        assert (await ask(world, SEND, body | {"instance": "loja"}, nobody))[0] == 404
        assert (await world.get("/v1/outbox", token("supervisor")))["outbox"] == []


async def test_an_instance_is_named_by_who_has_several(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        body = {"phone": ANA, "text": "Oi"}
        status, answer = await ask(world, SEND, body)
        assert (status, "there is none yet" in answer["error"]["message"]) == (400, True)
        await world.message(ANA, "Oi", instance="nova")
        assert (await ask(world, SEND, body, token(instances=["nova"])))[0] == 202
        assert (await ask(world, SEND, body))[0] == 202
        several = token(instances=["a", "b"])
        status, answer = await ask(world, SEND, body, several)
        assert status == 400
        assert "a, b" in answer["error"]["message"]


async def test_an_instances_state_is_evolutions_own_where_it_answers(tmp_path: Path) -> None:
    async with open_office(tmp_path) as (world, simulator, instance):
        await world.message(ANA, "Oi", instance=instance)
        path = f"/webhook/check-instance/{instance}"
        assert await ask(world, path) == (
            200,
            {"success": True, "instance": instance, "connected": True, "state": "open"},
        )
        await simulator.set_state(instance, "close", is_told=False)
        _, answer = await ask(world, path)
        assert (answer["connected"], answer["state"]) == (False, "close")
        _, answer = await ask(world, f"/webhook/check-instance/{simulator.instances[1]}")
        assert answer["connected"] is True
        for who, name in (
            (token(instances=["outra"]), instance),
            (token(role=None), instance),
            (token(), "nothing"),
        ):
            status, answer = await ask(world, f"/webhook/check-instance/{name}", who=who)
            assert (status, answer["success"], answer["error"]["code"]) == (404, False, "not_found")


async def test_an_instances_state_is_unknown_where_evolution_is_silent(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path, evolution="http://127.0.0.1:9") as world:
        await world.webhook(
            {"event": "connection.update", "instance": "loja", "data": {"state": "open"}}
        )
        with trio.fail_after(30):
            _, answer = await ask(world, "/webhook/check-instance/loja")
        assert (answer["connected"], answer["state"]) == (False, "unknown")


async def test_they_take_no_other_method(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        response = await world.ask(SEND, token=token())
        assert response.status_code == 405
        assert (await response.get_json())["success"] is False
        assert "POST" in response.headers["Allow"]
        assert "method_not_allowed" in await text_of(response)
