"""Fixtures of the tests against a real process."""

from collections.abc import Iterator

import pytest

from tests.support.daemon import Daemon, running


@pytest.fixture(scope="module")
def shared_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One daemon for a table of small attacks: what one leaves behind must not hurt the next."""
    with running(tmp_path_factory.mktemp("shared") / "state", SERVER__HEADER_TIMEOUT="1") as daemon:
        yield daemon
