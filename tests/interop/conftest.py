"""What tests with clients of others' making share."""

from collections.abc import Iterator

import pytest

from tests.interop.test_browser import ONE_CHROMIUM


@pytest.fixture(scope="module", autouse=True)
def chromium_ends() -> Iterator[None]:
    """Not later: while playwright is open, an event loop of its own counts as running here."""
    yield
    ONE_CHROMIUM.end()
