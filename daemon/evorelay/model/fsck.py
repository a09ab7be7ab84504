"""What ``evorelay fsck`` finds."""

from typing import NamedTuple

from evorelay.model.errors import RelayError


class Fault(NamedTuple):
    code: str
    what: str
    """What is wrong, for a person; the same for every fault with this code."""
    where: str
    repair: str = ""
    """How ``--repair`` mends it; "": a person has to."""


class UnreadableStore(RelayError):
    """The file is so damaged that nothing of it can be asked."""
