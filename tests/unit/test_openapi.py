"""/openapi.json says what is served, no more and no less."""

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from evorelay.model.errors import Code
from evorelay.relay.questions import (
    InstanceQrCode,
    InstancesPage,
    MergesPage,
    MessagesPage,
    Participants,
    QuarantinedBody,
    QuarantinePage,
    TicketsPage,
)
from tests.edge.http_world import World, open_world, token


async def document_of(world: World) -> dict[str, Any]:
    document: dict[str, Any] = await world.get("/openapi.json", None)
    return document


async def test_every_served_address_is_described_and_every_described_one_served(
    tmp_path: Path,
) -> None:
    """Webhooks are the gate's and the console is for people; everything else is both."""
    async with open_world(tmp_path) as world:
        served = {
            (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method.lower())
            for rule in world.app.url_map.iter_rules()
            for method in rule.methods or ()
            if method not in ("HEAD", "OPTIONS")
            if rule.rule != "/" and not rule.rule.startswith("/console")
        }
        described = {
            (path, method)
            for path, item in (await document_of(world))["paths"].items()
            for method in item
        }
        webhooks = {
            ("/webhook/evolution", "post"),
            ("/webhook/evolution/{event}", "post"),
            ("/hook/{secret}", "post"),
            ("/hook/{secret}/{event}", "post"),
            ("/messages-upsert", "post"),
            ("/connection-update", "post"),
        }
        assert described == served | webhooks


async def test_every_reference_leads_somewhere_and_no_schema_is_left_over(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        document = await document_of(world)
        references = set(_references(document))
        defined = {
            f"#/components/{kind}/{name}"
            for kind in ("schemas", "responses")
            for name in document["components"][kind]
        }
        assert references == defined


async def test_arguments_are_where_the_document_says(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        paths = (await document_of(world))["paths"]
        listed = {item["name"]: item for item in paths["/v1/tickets"]["get"]["parameters"]}
        assert listed["limit"]["in"] == "query"
        assert listed["limit"]["schema"] == {
            "type": "integer",
            "minimum": 1,
            "maximum": 200,
            "default": 50,
        }
        change = paths["/v1/tickets/{ticket_id}"]["patch"]
        assert [item["name"] for item in change["parameters"]] == ["ticket_id"]
        body = change["requestBody"]["content"]["application/json"]["schema"]
        assert body["properties"].keys() == {"version", "status", "assignee", "subject"}
        for path, item in paths.items():
            for operation in item.values():
                in_path = {p["name"] for p in operation.get("parameters", ()) if p["in"] == "path"}
                assert in_path == set(re.findall(r"{(\w+)}", path))


async def test_a_body_is_required_where_something_in_it_is(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        paths = (await document_of(world))["paths"]
        for path, method, is_required in (
            ("/v1/tickets/{ticket_id}/messages", "post", True),
            ("/v1/reconcile", "post", True),
            ("/v1/tickets/{ticket_id}", "patch", True),
            ("/v1/tickets/{ticket_id}/seen", "post", False),
            ("/v1/messages/{message_id}/retry", "post", False),
        ):
            assert paths[path][method]["requestBody"]["required"] is is_required, path
        for path, item in paths.items():
            for method, operation in item.items():
                assert ("requestBody" in operation) is (method != "get"), (path, method)
        retry = paths["/v1/messages/{message_id}/retry"]["post"]
        assert "503" not in retry["responses"]  # what failed makes room for itself


async def test_everything_under_v1_needs_a_token(tmp_path: Path) -> None:
    """P7, in the document and in fact."""
    async with open_world(tmp_path) as world:
        paths = (await document_of(world))["paths"]
        for path in [path for path in paths if path.startswith("/v1/")]:
            for method, operation in paths[path].items():
                assert operation["security"] == [{"token": []}]
                response = await world.ask(re.sub(r"{\w+}", "x", path), method=method.upper())
                assert response.status_code == 401


async def test_a_role_in_the_document_is_the_role_it_takes(tmp_path: Path) -> None:
    """P7: refused to whoever has less, answered (there is nothing there) to whoever has it."""
    async with open_world(tmp_path) as world:
        paths = (await document_of(world))["paths"]
        of_role = {
            (re.sub(r"{\w+}", "x", path), method.upper(), operation["description"].split()[-1][:-1])
            for path, item in paths.items()
            for method, operation in item.items()
            if operation.get("description", "").startswith("Needs the role ")
        }
        assert {
            ("/v1/quarantine", "GET", "supervisor"),
            ("/v1/merges/x/undo", "POST", "supervisor"),
        } <= of_role
        for path, method, role in of_role:
            assert role in ("supervisor", "admin")
            for lesser in ("agent", "supervisor") if role == "admin" else ("agent",):
                response = await world.ask(path, method=method, token=token(lesser), body={})
                assert response.status_code == 403, (path, method)
            response = await world.ask(path, method=method, token=token(role), body={})
            assert response.status_code in (200, 202, 400, 404), (path, method)


async def test_what_may_be_one_of_a_few_words_is_described_so(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        schemas = (await document_of(world))["components"]["schemas"]
        fields = {name: schemas[name]["properties"] for name in ("Message", "Ticket", "Instance")}
        assert fields["Message"]["direction"]["enum"] == ["in", "out"]
        assert "delivered" in fields["Message"]["status"]["enum"]
        assert fields["Ticket"]["status"]["enum"] == ["closed", "open", "pending"]
        assert "connecting" in fields["Instance"]["state"]["enum"]
        assert "enum" not in fields["Message"]["type"]
        assert "`sticker`" in fields["Message"]["type"]["description"]


async def test_whatever_evolution_sends_is_answered_in_the_described_form(tmp_path: Path) -> None:
    """Decoding is strict: every word, type and time is one the document allows."""
    samples = Path(__file__).parents[1] / "fixtures" / "webhooks"
    async with open_world(tmp_path) as world:
        for sample in sorted(samples.glob("*.json")):
            body = json.loads(sample.read_text())["body"]
            await world.webhook({"event": "", "instance": ""} | body)
        answers: list[tuple[str, type[Any]]] = [
            ("/v1/tickets?limit=200", TicketsPage),
            ("/v1/instances", InstancesPage),
            ("/v1/merges?limit=200", MergesPage),
            ("/v1/quarantine?limit=200", QuarantinePage),
        ]
        tickets = (await world.get("/v1/tickets?limit=200", token("admin")))["tickets"]
        answers += [(f"/v1/tickets/{t['id']}/messages", MessagesPage) for t in tickets]
        answers += [(f"/v1/tickets/{t['id']}/participants", Participants) for t in tickets]
        names = {ticket["instance"] for ticket in tickets}
        answers += [(f"/v1/instances/{name}/qrcode", InstanceQrCode) for name in names]
        entries = (await world.get("/v1/quarantine?limit=200", token("admin")))["quarantine"]
        answers += [(f"/v1/quarantine/{entry['id']}", QuarantinedBody) for entry in entries]
        assert tickets
        assert entries
        for path, described in answers:
            msgspec.convert(await world.get(path, token("admin")), described)


async def test_every_code_of_an_error_is_listed(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        document = await document_of(world)
        codes = document["components"]["schemas"]["ErrorDetail"]["properties"]["code"]["enum"]
        assert codes == [code.code for code in Code]


@pytest.mark.parametrize("path", ["/v1/tickets", "/v1/instances", "/v1/quarantine", "/v1/merges"])
async def test_a_page_has_exactly_the_described_fields(tmp_path: Path, path: str) -> None:
    async with open_world(tmp_path) as world:
        document = await document_of(world)
        content = document["paths"][path]["get"]["responses"]["200"]["content"]
        name = content["application/json"]["schema"]["$ref"].rpartition("/")[2]
        page = await world.get(path, token("admin"))
        assert page.keys() == document["components"]["schemas"][name]["properties"].keys()


def _references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if "$ref" in node else []
        return own + [found for value in node.values() for found in _references(value)]
    if isinstance(node, list):
        return [found for value in node for found in _references(value)]
    return []
