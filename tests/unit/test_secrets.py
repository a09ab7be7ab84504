import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from evorelay.config import AuthConfig, Config, WebhookConfig
from evorelay.model.errors import ConfigError
from evorelay.secrets import ensure_secrets, secrets_path


def test_made_once_and_read_back(tmp_path: Path) -> None:
    config = Config(state_dir=str(tmp_path / "a" / "state"))
    first = ensure_secrets(config)
    assert len(first.webhook.secret) >= 40
    assert len(first.auth.jwt_secret.encode()) >= 32
    assert first.webhook.secret != first.auth.jwt_secret
    assert first == ensure_secrets(config)


@pytest.mark.parametrize("umask", [0o000, 0o777])
def test_only_the_owner_may_read_them(tmp_path: Path, umask: int) -> None:
    """P7."""
    config = Config(state_dir=str(tmp_path / "state"))
    if umask == 0o777:
        (tmp_path / "state").mkdir(mode=0o700)
    before = os.umask(umask)
    try:
        ensure_secrets(config)
    finally:
        os.umask(before)
    assert secrets_path(config).stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    assert os.listdir(tmp_path / "state") == ["secrets.json"]


def test_configured_secrets_stay_and_nothing_is_written(tmp_path: Path) -> None:
    config = Config(
        state_dir=str(tmp_path / "state"),
        webhook=WebhookConfig(secret="w" * 16),
        auth=AuthConfig(jwt_secret="j" * 32),
    )
    assert config == ensure_secrets(config)
    assert not (tmp_path / "state").exists()


def test_one_configured_secret_leaves_the_other_to_the_file(tmp_path: Path) -> None:
    """The file is complete all the same, for the day the configured one is taken away."""
    config = Config(state_dir=str(tmp_path), webhook=WebhookConfig(secret="w" * 16))
    full = ensure_secrets(config)
    kept = json.loads(secrets_path(config).read_text())
    assert full.webhook.secret == "w" * 16
    assert kept["jwt_secret"] == full.auth.jwt_secret
    assert kept["webhook_secret"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o602])
def test_a_file_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    """P7."""
    config = Config(state_dir=str(tmp_path))
    ensure_secrets(config)
    secrets_path(config).chmod(mode)
    with pytest.raises(
        ConfigError, match=rf"other users may read it \(mode 0{mode:o}\).*chmod 600"
    ):
        ensure_secrets(config)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"webhook_secret":"hunter2"}', '{"jwt_secret":1}', "\xff"]
)
def test_a_damaged_file_is_refused_and_not_shown(tmp_path: Path, content: str) -> None:
    config = Config(state_dir=str(tmp_path))
    secrets_path(config).write_bytes(content.encode("latin-1"))
    secrets_path(config).chmod(0o600)
    with pytest.raises(ConfigError, match="is damaged; restore it, or remove it") as caught:
        ensure_secrets(config)
    assert "hunter2" not in str(caught.value)


def test_links_and_pipes_in_its_place_are_refused(tmp_path: Path) -> None:
    config = Config(state_dir=str(tmp_path))
    os.mkfifo(secrets_path(config), 0o600)
    with pytest.raises(ConfigError, match="not a regular file"):
        ensure_secrets(config)
    secrets_path(config).unlink()
    (tmp_path / "elsewhere").write_text('{"webhook_secret":"a","jwt_secret":"b"}')
    secrets_path(config).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="symbolic links"):
        ensure_secrets(config)


def test_a_directory_that_cannot_be_made_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"Not a directory; make state_dir writable"):
        ensure_secrets(Config(state_dir=str(tmp_path / "file" / "state")))


def test_processes_that_start_together_agree(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from evorelay.config import Config\n"
        "from evorelay.secrets import ensure_secrets\n"
        "print('loaded', flush=True)\n"
        "sys.stdin.read()\n"
        "made = ensure_secrets(Config(state_dir=sys.argv[1]))\n"
        "print(made.webhook.secret, made.auth.jwt_secret)\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path / "state")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == b"loaded\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
    answers = set()
    for process in processes:
        assert process.stdout is not None
        answers.add(process.stdout.read())
        process.stdout.close()
        assert process.wait() == 0
    assert len(answers) == 1
    assert os.listdir(tmp_path / "state") == ["secrets.json"]
