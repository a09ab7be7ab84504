"""What events carry, as lenient as existing front ends need it (contract §6).

An event has one object with camelCase names, of which we read those we know, or the first of its
values alone: ``emit("join-ticket", id)``. Ids may be numbers, and null is as good as nothing.
"""

from collections.abc import Sequence
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Struct

from evorelay.model.errors import Code, Refusal
from evorelay.relay.commands import CONTENT_CHARS_MAX

P = TypeVar("P", bound=Struct)
Number = Annotated[int, Meta(ge=-(1 << 63), le=(1 << 63) - 1)] | float
"""What JavaScript would write in a few digits."""
Id = Annotated[str, Meta(max_length=200)] | Number
Offset = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
PAGE_MAX = 200


class TicketParams(Struct, frozen=True, rename="camel"):
    ticket_id: Id


class JoinTicket(TicketParams, frozen=True, rename="camel"):
    since: Offset | None = None
    """The ticket's offset up to which the client has everything."""
    epoch: str | None = None
    """The log that ``since`` is of; the present one where it is not given."""


class InboxParams(Struct, frozen=True, rename="camel"):
    instance: Id


class JoinInbox(InboxParams, frozen=True, rename="camel"):
    since: Offset | None = None
    epoch: str | None = None


class RequestMessages(TicketParams, frozen=True, rename="camel"):
    limit: Number | None = None
    before: Id | None = None
    """Id of the message that the page ends before; the newest page where it is not given."""

    @property
    def page_size(self) -> int:
        wanted = 50 if self.limit is None else int(self.limit)
        return min(max(wanted, 1), PAGE_MAX)


class SendMessage(TicketParams, frozen=True, rename="camel"):
    content: Annotated[str, Meta(max_length=CONTENT_CHARS_MAX)] | Number
    is_internal: bool | None = None
    sender_name: str | None = None
    message_id: Annotated[str, Meta(max_length=128)] | Number | None = None
    """The client's own id of this command: the same one again sends nothing twice."""


class TypingParams(TicketParams, frozen=True, rename="camel"):
    is_typing: bool | None = None


class RefreshParams(Struct, frozen=True, rename="camel"):
    token: str


class RpcParams(Struct, frozen=True, rename="camel"):
    method: str
    params: dict[str, Any] | None = None


def read_params(params_type: type[P], args: Sequence[Any], *, positional: int = 1) -> P:
    """What an event's arguments say: an object, or its first values alone, up to ``positional``.

    Raises ``Refusal``.
    """
    given = args[0] if args else {}
    if not isinstance(given, dict):
        names = params_type.__struct_encode_fields__[:positional]
        given = dict(zip(names, args, strict=False))
    try:
        return msgspec.convert(given, params_type)
    except (msgspec.ValidationError, RecursionError) as error:
        raise Refusal(Code.BAD_REQUEST, str(error)) from None


def text_of(value: str | Number) -> str:
    """An id as text, as JavaScript would write it."""
    return str(value)
