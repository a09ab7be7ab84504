"""Posting webhooks the way Evolution does, and finding what became of them."""

from typing import Any

from tests.support.daemon import Daemon, token
from tests.support.http import ask, connected
from tests.support.waiting import eventually
from tests.support.webhooks import PATH, as_body, text_message


async def post_text(daemon: Daemon, whatsapp_id: str, text: str, **fields: Any) -> int:
    """Post a customer's text; returns the journal's ``seq``."""
    reply = await ask(daemon, "POST", PATH, as_body(text_message(whatsapp_id, text, **fields)))
    assert reply.status == 200, reply
    seq: int = reply.json["seq"]
    return seq


async def post_texts(daemon: Daemon, texts: dict[str, str], **fields: Any) -> None:
    """Post many (WhatsApp id -> text) over one connection, the next after the answer."""
    async with connected(daemon) as connection:
        for whatsapp_id, text in texts.items():
            body = as_body(text_message(whatsapp_id, text, **fields))
            reply = await connection.ask("POST", PATH, body)
            assert reply.status == 200, reply


async def get(daemon: Daemon, target: str) -> Any:
    """A REST answer as an agent who may see everything."""
    reply = await ask(daemon, "GET", target, Authorization=f"Bearer {token()}")
    assert reply.status == 200, reply
    return reply.json


async def ticket_of(daemon: Daemon, phone: str = "5531988887777") -> str:
    """The ticket of a customer who has written; waits for the pipeline."""

    async def find() -> str | None:
        tickets = (await get(daemon, "/v1/tickets?limit=200"))["tickets"]
        return next((t["id"] for t in tickets if t["contact"]["phone"] == phone), None)

    return await eventually(find, what=f"ticket of {phone}")


async def messages_of(daemon: Daemon, ticket: str) -> list[dict[str, Any]]:
    """Every message of a ticket in reading order, by paging backwards."""
    found: list[dict[str, Any]] = []
    query = "limit=200"
    while True:
        page = await get(daemon, f"/v1/tickets/{ticket}/messages?{query}")
        found[:0] = page["messages"]
        if page["next_cursor"] is None:
            return found
        query = f"limit=200&before={page['next_cursor']}"


async def metric(daemon: Daemon, sample: str) -> float:
    """A sample of ``/metrics`` by its name with labels; 0 when those labels never occurred."""
    text = (await ask(daemon, "GET", "/metrics")).body.decode()
    family = sample.partition("{")[0].removesuffix("_count").removesuffix("_sum")
    assert f"# TYPE {family} " in text, f"no metric {sample}"
    for line in text.splitlines():
        name, _, value = line.rpartition(" ")
        if name == sample:
            return float(value)
    return 0.0


async def handled(daemon: Daemon) -> None:
    """Wait until the pipeline has put every journaled webhook into the store."""

    async def is_idle() -> bool:
        return await metric(daemon, "evorelay_pipeline_lag_entries") == 0

    await eventually(is_idle, what="end of the backlog", within_s=60)
