"""Fixtures every level of tests may use."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import Daemon, running


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """A real daemon with an empty store."""
    with running(tmp_path / "state") as started:
        yield started
