"""The driver a conformance test runs against."""

from pathlib import Path

import pytest

from tests.conformance.harness import DRIVERS, Driver


@pytest.fixture
def driver(request: pytest.FixtureRequest, tmp_path: Path) -> Driver:
    return DRIVERS[request.param](tmp_path)
