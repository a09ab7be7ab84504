"""What is asked about backups, and answered (contract §3)."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from evorelay.model.views import Timestamp


class BackupView(Struct, frozen=True, kw_only=True, rename={"from_": "from"}):
    id: str
    created_at: Timestamp
    from_: Annotated[
        Timestamp | None,
        Meta(description="When the one before was made; null: it holds every conversation"),
    ]
    to: Timestamp
    messages: Annotated[int, Meta(description="New or changed since `from`")]
    tickets: Annotated[int, Meta(description="Likewise, and those of such messages")]
    size_bytes: int
    state: Annotated[
        Literal["verified", "unverified", "damaged"],
        Meta(description="Whether it was restored into a scratch store and found whole"),
    ]
    verified_at: Timestamp | None
    problem: Annotated[str | None, Meta(description="What is wrong with a damaged one")]
    gap: Annotated[
        str | None,
        Meta(
            description="Which backup before it is missing, and what its lines lack for it; it may"
            " be whole itself"
        ),
    ]


class BackupsPage(Struct, frozen=True, kw_only=True):
    backups: Annotated[list[BackupView], Meta(description="Newest first")]
    next_at: Timestamp | None
    schedule: Annotated[str, Meta(description="Cron fields, in `timezone`")]
    timezone: str
    is_running: Annotated[bool, Meta(description="One is being made or checked now")]


class BackupStarted(Struct, frozen=True):
    started: bool
