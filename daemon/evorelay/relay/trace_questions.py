"""One message's way, as it is asked for and answered (``GET /v1/messages/{id}/trace``)."""

from typing import Annotated

from msgspec import Meta, Struct

from evorelay.model.views import Timestamp

PHASES = (
    ("whatsapp", "webhook", "journaled"),
    ("queued",),
    ("recovered", "stored", "published"),
    ("attempted", "refused", "unknown", "accepted", "retried", "repeated"),
    ("sent", "delivered", "read", "played", "failed"),
    ("file", "edited", "reaction", "deleted"),
)
"""Every step; those of one millisecond are told in this order."""
STEPS = tuple(step for phase in PHASES for step in phase)


class TraceStep(Struct, frozen=True, kw_only=True):
    at: Timestamp
    step: Annotated[
        str,
        Meta(
            description="`whatsapp`: written, says WhatsApp, in whole seconds; `webhook`: arrived "
            "here; `journaled`: fsynced; `recovered`: found though it was never posted; `queued`: "
            "an agent's command was taken; `stored`, `published`: on its ticket, told to clients; "
            "`attempted`, then `accepted`, `refused` or `unknown`: a call to Evolution; `sent`, "
            "`delivered`, `read`, `played`, `failed`: its status changed; `file`; `edited`; "
            "`reaction`; `deleted`; `retried`: an agent had it sent again; `repeated`: the same "
            "command came once more, nothing was sent for it. A later version may add others",
            examples=list(STEPS),
        ),
    ]
    detail: Annotated[str | None, Meta(description="For a person")]


class TraceView(Struct, frozen=True, kw_only=True):
    """What is known of a message's way, oldest first; what retention took is not there any more."""

    message_id: str
    ticket_id: str
    instance: str
    steps: list[TraceStep]
