"""What monitors see: health from progress (P8), details and metrics for those who may (P7)."""

from pathlib import Path

import trio
from prometheus_client.parser import text_string_to_metric_families

from evorelay.relay.channel_session import ChannelSession
from evorelay.relay.feed import Feed
from tests.edge.http_world import World, error_of, open_world, text_of, token

ANA = "5511988880001"


async def test_health_has_the_form_monitors_know(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        for path in ("/health", "/webhook/health"):
            response = await world.ask(path)
            assert response.status_code == 200
            assert response.content_type == "application/health+json"
            body = await response.get_json()
            assert body.keys() == {"status", "version", "uptime_seconds", "checks", "websocket"}
            assert body["status"] == "pass"
            assert body["version"] == "9.9.9"
            assert body["uptime_seconds"] >= 0
            assert body["websocket"] == {"enabled": True, "connections": 0, "activeTickets": 0}


async def test_details_of_health_need_a_token_that_grants_something(tmp_path: Path) -> None:
    """P7: a stranger learns names and states; a bad token still learns whether it is well."""
    async with open_world(tmp_path) as world:
        for credential in (None, "not.a.token", token(role=None)):
            body = await world.get("/webhook/health", credential)
            assert all(
                check == {"status": "pass"} for found in body["checks"].values() for check in found
            )
        detailed = await world.get("/webhook/health", token())
        assert detailed["checks"]["disk:free"][0]["observedUnit"] == "bytes"
        assert detailed["checks"].keys() == body["checks"].keys()


async def test_an_instances_silence_is_told_to_those_who_may_see_it(tmp_path: Path) -> None:
    """P7: and to a stranger not even how many instances there are."""
    async with open_world(tmp_path) as world:
        for instance in ("loja", "filial"):
            await world.message(ANA, "Oi", instance=instance)

        async def seen_by(credential: str | None) -> list[str | None] | None:
            checks = (await world.get("/health", credential))["checks"]
            found = checks.get("instance:silence")
            return found and [one.get("componentId") for one in found]

        with trio.fail_after(30):  # instances are read every few seconds
            while await seen_by(token("admin")) != ["filial", "loja"]:
                await trio.sleep(0.05)
        assert await seen_by(token(instances=["loja"])) == ["loja"]
        assert await seen_by(token(instances=["outra"])) is None
        assert await seen_by(None) == [None]


async def test_whose_instance_is_down_is_told_to_those_who_may_see_it(tmp_path: Path) -> None:
    """P7: the others learn that something is wrong, which `status` says as well."""
    async with open_world(tmp_path) as world:
        for instance in ("loja", "filial"):
            await world.webhook(
                {
                    "event": "connection.update",
                    "instance": instance,
                    "data": {"instance": instance, "state": "close", "statusReason": 428},
                }
            )

        async def seen_by(credential: str) -> list[dict[str, object]]:
            checks = (await world.get("/health", credential))["checks"]
            found: list[dict[str, object]] = checks["instances:down"]
            return found

        with trio.fail_after(30):  # instances are read every few seconds
            while "filial, loja" not in str(await seen_by(token("admin"))):
                await trio.sleep(0.05)
        (own,) = await seen_by(token(instances=["loja"]))
        assert own["observedValue"] == 1
        assert "loja" in str(own["output"])
        assert "filial" not in str(own["output"])
        assert await seen_by(token(instances=["outra"])) == [{"status": "warn"}]


async def test_a_full_disk_fails_health_and_readiness_but_not_liveness(tmp_path: Path) -> None:
    """P8: the state follows the journal's, both ways."""
    async with open_world(tmp_path) as world:
        assert await world.get("/readyz", None) == {"ready": True}
        world.free_bytes = 0
        world.journal.check_disk()
        health = await world.ask("/webhook/health")
        assert health.status_code == 503
        assert (await health.get_json())["status"] == "fail"
        ready = await world.ask("/readyz")
        assert ready.status_code == 503
        assert int(ready.headers["Retry-After"]) > 0
        assert "disk" in (await ready.get_json())["reason"]
        assert await world.get("/livez", None) == {"alive": True}
        world.free_bytes = 1 << 40
        world.journal.check_disk()
        assert (await world.ask("/readyz")).status_code == 200
        assert (await world.ask("/webhook/health")).status_code == 200


async def test_draining_is_not_ready(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        world.journal.close_asap()
        assert (await world.ask("/readyz")).status_code == 503


async def test_ws_stats_name_tickets_only_to_those_who_may_see_them(tmp_path: Path) -> None:
    """P7: an agent of another instance gets the count, not the tickets."""
    async with open_world(tmp_path) as world:
        await world.message(ANA, "Oi", instance="loja")
        ticket = (await world.get("/v1/tickets", token()))["tickets"][0]["id"]
        watch(world, f"ticket:{ticket}")
        counts = {"totalConnections": 0, "activeTickets": 1}
        path = "/webhook/ws-stats"
        assert await world.get(path, None) == counts
        seen = counts | {"connectionsByTicket": {ticket: 1}}
        assert await world.get(path, token("admin")) == seen
        assert await world.get(path, token(instances=["loja"])) == seen
        elsewhere = await world.get(path, token(instances=["outra"]))
        assert elsewhere["connectionsByTicket"] == {}


async def test_metrics_are_for_near_peers_and_for_tokens(tmp_path: Path) -> None:
    """P7: behind a proxy on this host every client is a loopback peer, so headers void that."""
    async with open_world(tmp_path) as world:
        forwarded = {"X-Forwarded-For": "203.0.113.7"}
        assert (await world.ask("/metrics")).status_code == 200
        assert (await world.ask("/metrics", peer="::1")).status_code == 200
        for refused in (
            await world.ask("/metrics", headers=forwarded),
            await world.ask("/metrics", peer="203.0.113.7"),
            await world.ask("/metrics", peer=None),
        ):
            assert await error_of(refused) == (401, "unauthorized")
        far = await world.ask("/metrics", peer="203.0.113.7", token=token(role=None))
        assert await error_of(far) == (403, "forbidden")
        far = await world.ask("/metrics", peer="203.0.113.7", token=token())
        assert far.status_code == 200


async def test_metrics_are_what_prometheus_reads(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.message(ANA, "Oi")
        text = await text_of(await world.ask("/metrics"))
        received = [
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == "messages_total"
            and sample.labels == {"type": "text", "status": "received"}
        ]
        assert received == [1]


async def test_a_webhook_by_get_is_told_about_redirects_and_counted(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        for path in ("/webhook/evolution", "/hook/some-secret/messages-upsert", "/messages-upsert"):
            response = await world.ask(path)
            assert await error_of(response) == (405, "method_not_allowed")
            assert response.headers["Allow"] == "POST"
            assert "redirect" in (await response.get_json())["error"]["message"]
        assert (
            world.registry.get_sample_value(
                "evorelay_webhooks_refused_total", {"reason": "redirect_suspected"}
            )
            == 3
        )
        assert (await world.ask("/hook/some-secret", method="PUT")).status_code == 405


def watch(world: World, channel: str) -> None:
    """Subscribe somebody who is not connected; only that there is a feed matters here."""
    world.hub.attach(Feed(channel, ChannelSession.__new__(ChannelSession)))
