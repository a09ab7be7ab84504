"""P8: metrics, dashboard and alerts against a real daemon, judged by a real Prometheus."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from evorelay import __version__
from tests.support.agent import signed_in
from tests.support.daemon import JWT_SECRET, WEBHOOK_SECRET, Daemon, running, token
from tests.support.http import ask
from tests.support.posting import get, handled, metric, post_text, ticket_of
from tests.support.prometheus import (
    ALERTS,
    DASHBOARD,
    README,
    Prometheus,
    promtool,
    running_prometheus,
)
from tests.support.waiting import eventually
from tests.support.webhooks import API_KEY, INSTANCE, PATH

OURS = re.compile(r"\b(?:evorelay_\w+|messages_total|websocket_connections_active|process_\w+)\b")
NODE = {"$job": "evorelay", "$node": ".*", "$__rate_interval": "1m", "$__range": "1h"}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Everything that has a metric is switched on."""
    with running(
        tmp_path_factory.mktemp("monitored") / "state",
        AUTH__JWKS_URL="http://127.0.0.1:9/keys",
        EVOLUTION__URL="http://127.0.0.1:9",
        EVOLUTION__API_KEY=API_KEY,
        HEALTH__CANARY_EVERY="1",
    ) as daemon:
        yield daemon


async def scrape(daemon: Daemon) -> str:
    return (await ask(daemon, "GET", "/metrics")).body.decode()


def names_in(metrics: str) -> set[str]:
    """Every name a query may use."""
    found = set(re.findall(r"^# TYPE (\S+) ", metrics, re.MULTILINE))
    for name in re.findall(r"^# TYPE (\S+) histogram$", metrics, re.MULTILINE):
        found |= {f"{name}_{part}" for part in ("bucket", "sum", "count")}
    return found


def expressions(node: Any) -> Iterator[str]:
    """Of the dashboard, with its variables filled in."""
    if isinstance(node, list):
        for item in node:
            yield from expressions(item)
    elif isinstance(node, dict):
        for name, value in node.items():
            if name == "expr":
                for variable, text in NODE.items():
                    value = value.replace(variable, text)
                yield value
            else:
                yield from expressions(value)


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return found


async def test_promtool_finds_nothing_wrong_with_our_metrics(daemon: Daemon) -> None:
    assert promtool("check", "metrics", stdin=await scrape(daemon)) == ""


async def test_every_metric_of_dashboard_and_alerts_is_there(daemon: Daemon) -> None:
    there = names_in(await scrape(daemon))
    assert set(OURS.findall(ALERTS.read_text())) - there == set()
    assert set(OURS.findall(DASHBOARD.read_text())) - there == set()
    assert set(OURS.findall(README.read_text())) - there == set()


async def test_every_metric_of_ours_is_on_the_dashboard_or_in_an_alert(daemon: Daemon) -> None:
    """What nobody looks at need not be measured."""
    used = DASHBOARD.read_text() + ALERTS.read_text()
    ours = re.findall(r"^# TYPE (evorelay_\S+|messages_\S+) ", await scrape(daemon), re.MULTILINE)
    assert len(ours) > 60
    assert [name for name in ours if name not in used] == []


async def test_no_label_is_one_that_prometheus_gives_itself(daemon: Daemon) -> None:
    labels = set(re.findall(r'[{,](\w+)="', await scrape(daemon)))
    assert labels & {"job", "instance"} == set()


async def test_no_person_and_no_secret_is_in_the_metrics(daemon: Daemon) -> None:
    """P7: whatever went through, and whoever asked."""
    phone, name, text = "5531977776666", "Fulana de Tal", "um segredo de família"
    await post_text(daemon, "3EB0CAFE", text, phone=phone)
    odd = {"event": f"{phone}@s.whatsapp.net", "instance": INSTANCE, "data": {"pushName": name}}
    await ask(daemon, "POST", PATH, json.dumps(odd).encode())
    ticket = await ticket_of(daemon, phone)
    async with signed_in(daemon, token("maria@example.com", role="supervisor")) as agent:
        await agent.ask(subscribe={"channel": f"ticket:{ticket}"})
        reply = await agent.rpc("messages.send", ticket_id=ticket, content=text, op_id="op-segredo")
        metrics = await scrape(daemon)
    for secret in (phone, name, text, "maria", ticket, reply["id"], "op-segredo"):
        assert secret not in metrics, secret
    for secret in (API_KEY, WEBHOOK_SECRET, JWT_SECRET, token()):
        assert secret not in metrics


async def test_a_message_is_measured_to_the_screen_of_whoever_watches(daemon: Daemon) -> None:
    async def counted() -> float:
        return await metric(daemon, "evorelay_webhook_to_browser_seconds_count")

    await post_text(daemon, "3EB0BEEF01", "nobody watches")
    await handled(daemon)
    before = await counted()
    async with signed_in(daemon) as agent:
        await agent.ask(subscribe={"channel": f"inbox:{INSTANCE}"})
        await post_text(daemon, "3EB0BEEF02", "somebody watches")
        event = await agent.event()
        assert event.data["ticket_id"]

        async def is_counted() -> bool:
            return await counted() > before

        await eventually(is_counted, what="figure of a message on a screen")


async def test_overview_and_trace_are_served_by_the_daemon(daemon: Daemon) -> None:
    await post_text(daemon, "3EB0FACE", "Oi", phone="5531966665555")
    ticket = await ticket_of(daemon, "5531966665555")
    (message,) = (await get(daemon, f"/v1/tickets/{ticket}/messages"))["messages"]
    steps = (await get(daemon, f"/v1/messages/{message['id']}/trace"))["steps"]
    assert [step["step"] for step in steps][-3:] == ["journaled", "stored", "published"]
    boss = f"Bearer {token(role='supervisor')}"

    async def is_counted() -> bool:
        now = (await ask(daemon, "GET", "/v1/overview", Authorization=boss)).json["now"]
        return now["received_per_minute"] > 0 and now["quarantine"] is not None

    await eventually(is_counted, what="overview with what is in the store")


def test_the_dashboard_is_one_grafana_can_load() -> None:
    found = dashboard()
    assert (found["uid"], found["title"]) == ("evorelay", "EvoRelay")
    assert "id" not in found  # Grafana gives it
    variables = [one["name"] for one in found["templating"]["list"]]
    assert variables == ["datasource", "job", "node"]
    panels = found["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
        if panel["type"] == "row":
            continue
        assert panel["type"] in ("stat", "timeseries")
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert panel["description"], panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references) > 0
        for target in panel["targets"]:
            assert '{job="$job", instance=~"$node"' in target["expr"], panel["title"]


@pytest.mark.timeout(240)
async def test_a_real_prometheus_scrapes_asks_and_alerts(tmp_path: Path) -> None:
    """Every query of the dashboard is answered; with the daemon gone its alert fires."""
    with running(tmp_path / "state", HEALTH__CANARY_EVERY="1") as daemon:
        await post_text(daemon, "3EB0AA", "Oi")
        async with running_prometheus(tmp_path, daemon) as prometheus:
            await eventually(prometheus.is_up, what="scrape that worked")
            (build,) = await prometheus.ask("evorelay_build_info")
            assert build["metric"]["version"] == __version__
            for expression in expressions(dashboard()):
                await prometheus.ask(expression)

            async def shows_the_message() -> bool:
                found = await prometheus.ask('messages_total{type="text",status="received"}')
                return bool(found) and found[0]["value"][1] == "1"

            await eventually(shows_the_message, what="message in Prometheus")

            async def is_quiet() -> bool:
                return await firing(prometheus) & {"EvoRelayDown", "EvoRelayGap"} == set()

            await eventually(is_quiet, what="moment without an alert")
            await trio.to_thread.run_sync(daemon.kill)

            async def is_told() -> bool:
                return "EvoRelayDown" in await firing(prometheus)

            await eventually(is_told, what="alert that the daemon is down")
            await trio.to_thread.run_sync(daemon.start)

            async def is_over() -> bool:
                return "EvoRelayDown" not in await firing(prometheus)

            await eventually(is_over, what="end of that alert")


async def firing(prometheus: Prometheus) -> set[str]:
    found = await prometheus.ask('ALERTS{alertstate="firing"}')
    return {one["metric"]["alertname"] for one in found}
