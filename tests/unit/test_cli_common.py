"""Options that several commands share."""

from datetime import UTC, datetime, timedelta

import click
import pytest
from click.testing import CliRunner

from evorelay.cli.common import Moment


@click.command()
@click.option("--since", type=Moment())
def show(since: datetime) -> None:
    click.echo(since.isoformat())


def test_a_moment_is_a_duration_ago() -> None:
    result = CliRunner().invoke(show, ["--since", "2h"])
    ago = datetime.now(UTC) - datetime.fromisoformat(result.stdout.strip())
    assert timedelta(hours=2) <= ago < timedelta(hours=2, minutes=1)


@pytest.mark.parametrize("text", ["2026-11-22T08:00:00-03:00", "2026-11-22T11:00:00Z"])
def test_a_moment_is_a_time_with_its_zone(text: str) -> None:
    shown = CliRunner().invoke(show, ["--since", text]).stdout.strip()
    assert datetime.fromisoformat(shown) == datetime(2026, 11, 22, 11, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("", "is no moment; write 2h, 7d, or 2026-11-22T08:00:00-03:00"),
        ("yesterday", "is no moment"),
        ("99999999999d", "is no moment"),
        ("2026-11-22", "lacks its time zone; write it like 2026-11-22T08:00:00-03:00"),
        ("2026-11-22T08:00:00", "lacks its time zone"),
    ],
)
def test_what_is_no_moment_is_told_what_to_write(text: str, advice: str) -> None:
    result = CliRunner().invoke(show, ["--since", text])
    assert result.exit_code == 2
    assert advice in result.stderr
