"""Connections and webhook registrations of simulated instances, whole and broken."""

from typing import Any

import httpx
import pytest
import trio
import trio.testing

from evorelay.simulator.options import SimulatorOptions
from evorelay.simulator.run import open_simulator
from tests.engine.simulating import META, TO, V1, V2, Bench, a_bench, until
from tests.webhook_receiver import open_receiver


async def test_a_closed_instance_says_so_and_sends_nothing() -> None:
    async with a_bench() as bench:
        await bench.simulator.set_state(bench.instance, "close", reason=401)
        state = (await bench.get("instance/connectionState")).json()
        assert state["instance"]["state"] == "close"
        refused = await bench.send()
        assert (refused.status_code, refused.json()["response"]["message"]) == (
            500,
            "Connection Closed",
        )
        await until(lambda: bench.events("connection.update")[-1]["state"] == "close")
        assert bench.events("connection.update")[-1]["statusReason"] == 401
        assert bench.texts() == []


async def test_an_instance_that_is_not_loaded_has_no_state() -> None:
    async with a_bench() as bench:
        bench.simulator.set_condition(bench.instance, "not loaded")
        state = (await bench.get("instance/connectionState")).json()
        assert state == {"instance": {"instanceName": bench.instance}}
        refused = await bench.send()
        assert refused.status_code == 500
        assert "reading 'textMessage'" in refused.json()["response"]["message"]


async def test_a_stale_instance_says_open_and_is_cured_by_a_restart() -> None:
    async with a_bench() as bench:
        bench.simulator.set_condition(bench.instance, "stale")
        state = (await bench.get("instance/connectionState")).json()
        assert state["instance"]["state"] == "open"
        assert (await bench.send()).status_code == 500
        missed = await bench.simulator.say(bench.instance, "Alguém aí?")
        assert (await bench.post("instance/restart")).status_code == 200
        heard = await bench.simulator.say(bench.instance, "E agora?")
        await until(lambda: bench.events("messages.upsert"))
        assert [m["key"]["id"] for m in bench.events("messages.upsert")] == [heard]
        assert {row["key"]["id"] for row in await bench.found()} == {missed, heard}
        await until(lambda: bench.events("connection.update")[-1]["state"] == "open")
        assert (await bench.send()).status_code == 201


async def test_a_logged_out_instance_is_paired_with_a_code() -> None:
    async with a_bench() as bench:
        path = f"/instance/logout/{bench.instance}"
        assert (await bench.client.delete(path)).status_code == 200
        await until(lambda: bench.events("connection.update")[-1]["state"] == "close")
        assert (await bench.client.delete(path)).status_code == 400
        code = (await bench.get("instance/connect")).json()
        assert code["code"].startswith("2@")
        assert code["base64"].startswith("data:image/png;base64,")
        await until(lambda: bench.events("qrcode.updated"))
        assert bench.events("qrcode.updated")[0]["qrcode"]["code"] == code["code"]
        assert (await bench.get("instance/connect")).json()["code"] != code["code"]
        await bench.simulator.scan(bench.instance)
        connected = (await bench.get("instance/connect")).json()
        assert connected["instance"]["state"] == "open"


async def test_a_closed_but_paired_instance_connects_by_itself() -> None:
    async with a_bench() as bench:
        await bench.simulator.set_state(bench.instance, "close", is_told=False)
        assert (await bench.get("instance/connect")).json() == {"count": 0}
        assert (await bench.send()).status_code == 201


async def test_a_flood_is_as_many_webhooks_as_asked() -> None:
    async with a_bench() as bench:
        before = len(bench.events("connection.update"))
        await bench.simulator.flood(bench.instance, 30)
        await until(lambda: len(bench.events("connection.update")) == before + 30)


async def test_without_a_licence_every_call_is_refused() -> None:
    async with a_bench() as bench:
        bench.simulator.needs_licence = True
        for answer in (await bench.send(), await bench.client.get("/")):
            assert (answer.status_code, answer.json()["code"]) == (503, "LICENSE_REQUIRED")


async def test_webhooks_are_dropped_for_a_while_and_the_database_has_what_was_missed() -> None:
    """P6: what Evolution itself drops can be found."""
    async with a_bench() as bench:
        bench.simulator.drop_webhooks(3600)
        missed = await bench.simulator.say(bench.instance, "perdida")
        sent = (await bench.send("também perdida")).json()["key"]["id"]
        bench.simulator.drop_webhooks(0)
        heard = await bench.simulator.say(bench.instance, "ouvida")
        await until(lambda: bench.events("messages.upsert"))
        assert [m["key"]["id"] for m in bench.events("messages.upsert")] == [heard]
        assert bench.echoes() == []
        assert {row["key"]["id"] for row in await bench.found()} == {missed, sent, heard}


async def test_where_no_webhook_was_ever_set_none_is_found_and_none_is_posted() -> None:
    options = SimulatorOptions(None, instances=1, rate_per_minute=0, dialects=(V2,))
    async with open_simulator(options) as simulator:
        [name] = simulator.instances
        headers = {"apikey": simulator.api_key}
        async with httpx.AsyncClient(
            base_url=simulator.url, headers=headers, trust_env=False
        ) as client:
            assert (await client.get(f"/webhook/find/{name}")).json() is None
        await simulator.say(name, "Oi")
        await trio.testing.wait_all_tasks_blocked()
        assert simulator.ledger.totals.emitted == 0


@pytest.mark.parametrize("dialect", [V2, V1])
async def test_a_wiped_registration_is_found_empty_and_can_be_set_anew(dialect: str) -> None:
    async with a_bench(dialect) as bench, open_receiver() as other:
        bench.simulator.wipe_webhook(bench.instance)
        found = (await bench.get("webhook/find")).json()
        assert (found["enabled"], found["url"], list(found["events"])) == (True, "", [])
        webhook: dict[str, Any] = {
            "enabled": True,
            "url": other.url,
            "base64": True,
            "webhook_base64": True,
            "events": ["MESSAGES_UPSERT", "SEND_MESSAGE"],
            "headers": {"X-Tenant": "t1", "jwt_key": "a-key-of-at-least-thirty-two-bytes"},
        }
        body = webhook if dialect == V1 else {"webhook": webhook}
        assert (await bench.post("webhook/set", **body)).status_code == 201
        await bench.simulator.say(bench.instance, "Oi")
        await until(lambda: other.requests)
        headers = other.requests[0].headers
        assert "jwt_key" not in headers
        assert ("x-tenant" in headers) == (dialect == V2)
        assert headers.get("authorization", "").startswith("Bearer ") == (dialect == V2)


async def test_the_cloud_api_has_nothing_to_connect() -> None:
    async with a_bench(META) as bench:
        state = (await bench.get("instance/connect")).json()
        assert state == {"instance": {"instanceName": bench.instance, "state": "open"}}


async def test_everything_can_be_asked_for_over_http_too() -> None:
    async with a_bench() as bench:

        async def ask(door: str, **body: Any) -> int:
            answer = await bench.client.post(f"/simulator/{door}", json=body)
            return answer.status_code

        name = bench.instance
        assert await ask("misbehave", kind="timed-out", sent=True) == 200
        assert (await bench.send()).status_code == 400
        assert await ask("chance", drop_answer=0.1) == 200
        assert await ask("chance") == 200
        assert await ask("webhooks", drop_s=60, instance=name, files_in="url") == 200
        assert await ask("instance", instance=name, state="close", reason=401) == 200
        assert (await bench.send()).status_code == 500
        assert await ask("instance", instance=name, scanned=True, flood=2) == 200
        assert (await bench.send("outra")).status_code == 201
        assert await ask("say", instance=name, text="Oi") == 200
        assert await ask("licence", is_missing=True) == 200
        assert (await bench.send()).status_code == 503
        assert await ask("licence", is_missing=False) == 200
        assert await ask("webhooks", wipe=name) == 200
        assert (await bench.get("webhook/find")).json()["url"] == ""
        told = (await bench.client.get("/simulator/sent")).json()
        assert [sent["text"] for sent in told["sent"]] == ["Oi", "outra"]
        assert {"recipient": TO, "text": "outra", "count": 1} in told["counts"]


@pytest.mark.parametrize(
    ("door", "body", "status"),
    [
        ("misbehave", {"kind": "explode"}, 400),
        ("misbehave", {"kind": "hang", "for": 3}, 400),
        ("instance", {"instance": "nope", "state": "open"}, 404),
        ("instance", {"instance": "loja-centro", "state": "half-open"}, 400),
        ("say", {"instance": "loja-centro", "kind": "telepathy"}, 400),
        ("webhooks", {"drop_s": -1}, 400),
        ("chance", {"delay": 2}, 400),
        ("chance", {"delay": 0.7, "drop_answer": 0.7}, 400),
        ("elsewhere", {}, 404),
    ],
)
async def test_what_cannot_be_asked_for_is_refused(
    door: str, body: dict[str, Any], status: int
) -> None:
    async with a_bench() as bench:
        answer = await bench.client.post(f"/simulator/{door}", json=body)
        assert answer.status_code == status, answer.text


async def test_calls_do_not_wait_for_each_other() -> None:
    async with a_bench() as bench:
        bench.simulator.misbehave("hang", count=20, sent=True, number="5511988880002")
        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(_send_and_wait, bench, f"n{number}")
            await until(lambda: len(bench.texts()) == 20)
            with trio.fail_after(30):
                assert (await bench.send("passa")).status_code == 201
            nursery.cancel_scope.cancel()


async def _send_and_wait(bench: Bench, text: str) -> None:
    await bench.post("message/sendText", number="5511988880002", text=text)


async def test_instances_are_listed_by_name() -> None:
    async with a_bench(V2) as bench:
        [row] = (await bench.client.get("/instance/fetchInstances")).json()
        assert (row["name"], row["connectionStatus"]) == (bench.instance, "open")
        missing = await bench.client.get("/instance/fetchInstances?instanceName=nope")
        assert missing.json()["response"]["message"] == ['Instance "nope" not found']
