"""What commands share: who may write beside a daemon's files."""

import os
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from evorelay.cli import backup, erase, fsck
from evorelay.storage.open import open_storage


@pytest.mark.parametrize(
    ("command", "args"),
    [
        (erase.command, ["--phone", "5511988880001", "--yes"]),
        (fsck.command, ["--repair"]),
        (backup.command, ["now"]),
    ],
)
def test_root_leaves_no_file_behind_that_the_daemon_cannot_open(
    command: click.Command, args: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P1: an ``erased.json`` of root's alone would keep the daemon from its next start."""
    state = tmp_path / "state"
    with open_storage(state, None):
        pass
    if os.geteuid() == 0:
        os.chown(state, 65534, 65534)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    before = sorted(path.name for path in state.iterdir())
    done = CliRunner().invoke(command, args, env={"EVORELAY_STATE_DIR": str(state)})
    assert done.exit_code != 0
    said = str(done.exception) + done.output
    assert "belongs to another user than root" in said
    assert sorted(path.name for path in state.iterdir()) == before
