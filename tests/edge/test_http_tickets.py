"""REST v1 beyond reading: unread, subjects, search, participants, pairing codes, merges (P7)."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.edge.http_world import World, error_of, open_world, token

ANA = "5511988880001"
BIA = "5511988880002"
NEVER = "0192f000-0000-7000-8000-000000000000"


async def only_ticket(world: World, query: str = "") -> dict[str, Any]:
    (ticket,) = (await world.get(f"/v1/tickets{query}", token()))["tickets"]
    assert isinstance(ticket, dict)
    return ticket


async def merged(world: World) -> dict[str, Any]:
    """Two tickets that turned out to be one person's; the merge as it is listed."""
    lid = "222222222222222@lid"
    await world.message(ANA, "by number")
    await world.webhook(_message(lid, "LID1"))
    both = _message(lid, "LID3")
    both["data"]["key"]["remoteJidAlt"] = f"{ANA}@s.whatsapp.net"
    await world.webhook(both)
    (merge,) = (await world.get("/v1/merges", token("supervisor")))["merges"]
    assert isinstance(merge, dict)
    return merge


def _message(jid: str, whatsapp_id: str) -> dict[str, Any]:
    return {
        "event": "messages.upsert",
        "instance": "loja",
        "data": {
            "key": {"remoteJid": jid, "fromMe": False, "id": whatsapp_id},
            "message": {"conversation": whatsapp_id},
            "messageTimestamp": 1_795_000_000,
        },
    }


async def test_a_ticket_is_read_by_one_agent_and_stays_unread_for_another(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.message(ANA, "Oi")
        ticket = await only_ticket(world)
        path = f"/v1/tickets/{ticket['id']}"
        for body in (b"", b"{}"):
            response = await world.ask(f"{path}/seen", method="POST", token=token(), body=body)
            assert response.status_code == 200
            assert (await response.get_json())["unread"] == 0
        await world.message(ANA, "Alô?")
        for sub, unread in (("ana", 1), ("bia", 2)):
            assert (await world.get(path, token(sub=sub)))["unread"] == unread
        await world.ask(f"{path}/seen", method="POST", token=token(sub="bia"))
        assert (await only_ticket(world, "?unread=true"))["unread"] == 1
        assert (await world.get("/v1/tickets?unread=true", token(sub="bia")))["tickets"] == []


async def test_a_subject_is_given_by_patch(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.message(ANA, "Oi")
        path = f"/v1/tickets/{(await only_ticket(world))['id']}"
        for subject in ("Troca do sofá", None):
            response = await world.ask(
                path, method="PATCH", token=token(), body={"subject": subject}
            )
            assert (await response.get_json())["subject"] == subject
        for refused in ("", "a\nb", "x" * 201, 5):
            response = await world.ask(
                path, method="PATCH", token=token(), body={"subject": refused}
            )
            assert await error_of(response) == (400, "bad_request")


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("orcamento", 1),
        ("ORÇAMENTO do so", 1),
        ("cliente 01", 1),
        ("+55 (11) 98888-0001", 1),
        ("orçamento azul", 0),
        ('" AND "', 0),
        ("*", 0),
        ("😀", 0),
        ("\0", 2),
    ],
)
async def test_tickets_are_searched_by_q(tmp_path: Path, q: str, found: int) -> None:
    async with open_world(tmp_path) as world:
        await world.message(ANA, "Quero um orçamento do sofá")
        await world.message(BIA, "Bom dia")
        page = await world.get(f"/v1/tickets?q={quote(q)}", token())
        assert len(page["tickets"]) == found


async def test_who_waits_longest_may_come_first(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        for phone in (ANA, BIA, ANA):
            await world.message(phone, "Oi")
        phones = {}
        for sort in ("activity", "waiting"):
            page = await world.get(f"/v1/tickets?sort={sort}", token())
            phones[sort] = [ticket["contact"]["phone"] for ticket in page["tickets"]]
        assert phones == {"activity": [ANA, BIA], "waiting": [ANA, BIA]}
        response = await world.ask("/v1/tickets?sort=name", token=token())
        assert await error_of(response) == (400, "bad_request")


async def test_participants_and_pairing_codes_are_read(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.message(ANA, "Oi")
        ticket = await only_ticket(world)
        page = await world.get(f"/v1/tickets/{ticket['id']}/participants", token())
        (person,) = page["participants"]
        assert person == {
            "contact_id": ticket["contact"]["id"],
            **{name: ticket["contact"][name] for name in ("name", "phone", "jid", "lid")},
            "role": None,
        }
        answer = await world.get("/v1/instances/loja/qrcode", token())
        assert answer == {"instance": "loja", "state": "unknown", "qrcode": None}


async def test_a_merge_is_listed_and_undone(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        merge = await merged(world)
        shell = await world.get(f"/v1/tickets/{merge['absorbed_ticket']}", token())
        assert (shell["status"], shell["merged_into"]) == ("closed", merge["kept_ticket"])
        path = f"/v1/tickets/{shell['id']}"
        response = await world.ask(path, method="PATCH", token=token(), body={"status": "open"})
        assert await error_of(response) == (409, "ticket_closed")
        assert merge["kept_ticket"] in (await response.get_json())["error"]["message"]
        for _ in range(2):
            response = await world.ask(
                f"/v1/merges/{merge['id']}/undo", method="POST", token=token("supervisor")
            )
            assert response.status_code == 200
            assert (await response.get_json())["undone_at"] is not None
        back = await world.get(path, token())
        assert (back["status"], back["merged_into"]) == ("open", None)
        assert len((await world.get("/v1/tickets", token()))["tickets"]) == 2


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/v1/merges", (403, "forbidden")),
        ("POST", "/v1/merges/{merge}/undo", (403, "forbidden")),
        ("POST", "/v1/tickets/{ticket}/seen", (404, "not_found")),
        ("GET", "/v1/tickets/{ticket}/participants", (404, "not_found")),
        ("PATCH", "/v1/tickets/{ticket}", (404, "not_found")),
        ("GET", "/v1/instances/loja/qrcode", (404, "not_found")),
    ],
)
async def test_an_agent_of_another_instance_is_refused(
    tmp_path: Path, method: str, path: str, expected: tuple[int, str]
) -> None:
    """P7: as for anything that is not there."""
    async with open_world(tmp_path) as world:
        merge = await merged(world)
        answers = []
        for ids in (merge, {"id": NEVER, "kept_ticket": NEVER}):
            address = path.format(merge=ids["id"], ticket=ids["kept_ticket"])
            if ids is not merge:
                address = address.replace("loja", "nowhere")
            body = {"subject": "x"} if method == "PATCH" else None
            response = await world.ask(
                address, method=method, token=token(instances=["filial"]), body=body
            )
            assert await error_of(response) == expected
            answers.append(await response.get_json())
        assert answers[0] == answers[1]


async def test_a_foreign_merge_and_an_unknown_one_are_alike(tmp_path: Path) -> None:
    """P7, also for supervisors."""
    async with open_world(tmp_path) as world:
        merge = await merged(world)
        foreign = token("supervisor", instances=["filial"])
        assert (await world.get("/v1/merges", foreign))["merges"] == []
        answers = []
        for id_ in (merge["id"], NEVER):
            response = await world.ask(f"/v1/merges/{id_}/undo", method="POST", token=foreign)
            assert await error_of(response) == (404, "not_found")
            answers.append(await response.get_json())
        assert answers[0] == answers[1]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"[]", (400, "not_json")),
        (b"{", (400, "not_json")),
        (b'{"agent":"bia"}', (400, "bad_request")),
        (b'{"ticket_id":"another"}', (400, "bad_request")),
    ],
)
async def test_a_bad_body_marks_nothing_as_read(
    tmp_path: Path, body: bytes, expected: tuple[int, str]
) -> None:
    async with open_world(tmp_path) as world:
        await world.message(ANA, "Oi")
        ticket = await only_ticket(world)
        path = f"/v1/tickets/{ticket['id']}/seen"
        response = await world.ask(path, method="POST", token=token(), body=body)
        assert await error_of(response) == expected
        assert (await only_ticket(world))["unread"] == 1
