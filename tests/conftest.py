"""Fixtures every level of tests may use."""

from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.support.daemon import Daemon, running

# An example may take as long as the machine takes for it.
hypothesis.settings.register_profile("evorelay", deadline=None)
hypothesis.settings.load_profile("evorelay")


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """A real daemon with an empty store."""
    with running(tmp_path / "state") as started:
        yield started
