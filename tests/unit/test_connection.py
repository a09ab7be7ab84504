"""Why an instance is not connected, in a word."""

import pytest

from evorelay.protocol.connection import cause_of


@pytest.mark.parametrize(
    ("state", "reason", "is_removed", "expected"),
    [
        ("open", None, False, None),
        ("open", 401, False, None),
        ("close", 401, False, "logged_out"),
        ("close", 403, False, "banned"),
        ("connecting", 515, False, "restart_required"),
        ("close", 999, False, "code_999"),
        ("close", None, False, None),
        ("close", None, True, "removed"),
    ],
)
def test_cause(state: str, reason: int | None, is_removed: bool, expected: str | None) -> None:
    assert cause_of(state, reason, is_removed=is_removed) == expected
