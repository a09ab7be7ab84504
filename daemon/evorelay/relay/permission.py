"""What is refused to whom, in one wording (P7): a foreign thing and an unknown one are alike."""

from evorelay.model.errors import Code, Refusal
from evorelay.model.principal import Principal


def check_supervisor(who: Principal) -> None:
    if not who.is_at_least("supervisor"):
        raise Refusal(Code.FORBIDDEN, "this needs the role supervisor")


def visible_instances(who: Principal, asked_for: str | None = None) -> tuple[str, ...] | None:
    """The instances a question is about: all of the caller's, or one. None: every one there is."""
    if asked_for is not None:
        return (asked_for,) if who.may_see(asked_for) else ()
    if who.sees_all:
        return None
    return tuple(sorted(who.instances)) if who.role is not None else ()


def no_such_ticket() -> Refusal:
    return Refusal(Code.NOT_FOUND, "there is no such ticket")
