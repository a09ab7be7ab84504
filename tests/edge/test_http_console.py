"""The console's files: complete, cached rightly, and unable to run anything but themselves (P7)."""

import re
from hashlib import sha512
from importlib.resources import files
from pathlib import Path
from typing import get_args

import pytest

from evorelay.edge.http.console_pages import content_security_policy
from evorelay.protocol.normalise.reason import Reason
from evorelay.relay.commands import OutboxState
from evorelay.relay.trace_questions import STEPS
from tests.edge.http_world import error_of, open_world, text_of

CONSOLE = files("evorelay") / "console"


async def test_home_leads_to_the_console(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        response = await world.ask("/")
        assert response.status_code == 302
        assert response.headers["Location"] == "/console"


async def test_everything_the_page_asks_for_is_there(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        page = await text_of(await world.ask("/console"))
        wanted = set(re.findall(r'(?:src|href)="(/[^"]+)"', page))
        assert len(wanted) >= 4
        asked: set[str] = set()
        while wanted > asked:
            path = (wanted - asked).pop()
            asked.add(path)
            response = await world.ask(path)
            assert response.status_code == 200, path
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            imported = re.findall(r'from "\./([^"]+)"', await text_of(response))
            wanted |= {f"/console/{name}" for name in imported}
        ours = {f"/console/{file.name}" for file in CONSOLE.iterdir() if file.name.endswith(".js")}
        assert ours < asked


async def test_files_are_asked_for_once(tmp_path: Path) -> None:
    """A file in the browser's cache is confirmed, a vendored one is not even asked for."""
    async with open_world(tmp_path) as world:
        first = await world.ask("/console/main.js")
        assert first.headers["Cache-Control"] == "no-cache"
        second = await world.ask(
            "/console/main.js", headers={"If-None-Match": first.headers["ETag"]}
        )
        assert second.status_code == 304
        assert await second.get_data() == b""
        stale = await world.ask("/console/main.js", headers={"If-None-Match": '"older"'})
        assert stale.status_code == 200
        vendored = await world.ask("/console/vendor/centrifuge-5.8.0.js")
        assert "immutable" in vendored.headers["Cache-Control"]


async def test_no_path_leads_out_of_the_console(tmp_path: Path) -> None:
    """P7"""
    async with open_world(tmp_path) as world:
        for name in ("../config.py", "%2e%2e/config.py", "vendor/../../config.py", "vendor", "x"):
            response = await world.ask(f"/console/{name}")
            assert await error_of(response) == (404, "not_found")


async def test_the_page_may_run_its_own_scripts_only(tmp_path: Path) -> None:
    """P7: a message that is markup stays text even if the page had a bug."""
    async with open_world(tmp_path) as world:
        response = await world.ask("/console", headers={"Host": "relay.example:4000"})
        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
        assert "connect-src 'self' ws://relay.example:4000 wss://relay.example:4000;" in policy
        assert "img-src 'self' data: blob:; media-src blob:;" in policy
        assert "unsafe" not in policy
        assert "*" not in policy


@pytest.mark.parametrize("host", ["", "a; script-src *", "a b", "a,b", "*", "a\r\nX: y"])
def test_a_host_cannot_widen_the_policy(host: str) -> None:
    assert "connect-src 'self';" in content_security_policy(host)


def test_the_page_has_no_inline_code_and_no_dangerous_sink() -> None:
    """P7: text enters the page as text, nowhere else."""
    page = (CONSOLE / "index.html").read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon[a-z]+=", page)
    assert not re.search(r'(?:src|href)="(?!/console/|#main")', page)
    for file in CONSOLE.iterdir():
        if file.name.endswith(".js"):
            code = file.read_text()
            assert not re.search(r"(inner|outer|Adjacent)HTML|document\.write|\beval\b", code)


def test_both_languages_say_the_same_things() -> None:
    """Word for word in test_console_shell.py."""
    english, portuguese = (
        re.findall(r"^ +(\w+):", (CONSOLE / f"words-{language}.js").read_text(), re.MULTILINE)
        for language in ("en", "pt")
    )
    assert len(english) > 50
    assert english == portuguese


def test_every_word_the_page_names_is_there() -> None:
    page = (CONSOLE / "index.html").read_text()
    named = set(re.findall(r'data-(?:text|placeholder|label|name)="(\w+)"', page))
    assert len(named) > 10
    both = [(CONSOLE / f"words-en{part}.js").read_text() for part in ("", "-operations")]
    assert named <= set(re.findall(r"^  (\w+):", "\n".join(both), re.MULTILINE))


@pytest.mark.parametrize("language", ["en", "pt"])
def test_every_code_has_words(language: str) -> None:
    """A code without any would be shown as it is."""
    words = (CONSOLE / f"words-{language}-operations.js").read_text()
    known = set(re.findall(r'\b([a-z_]+): "', words))
    assert set(STEPS) | {reason.value for reason in Reason} <= known
    assert set(get_args(OutboxState)) <= known
    relay = Path(str(files("evorelay"))) / "relay"
    code = "".join(file.read_text() for file in relay.rglob("*.py"))
    checks = set(re.findall(r'"([a-z]+:[a-z]+)"', code))
    assert len(checks) > 20
    assert checks <= set(re.findall(r'"([a-z]+:[a-z]+)": "', words))


def test_the_vendored_files_are_those_that_were_reviewed() -> None:
    record = (CONSOLE / "vendor" / "VENDORED").read_text()
    code = [file for file in (CONSOLE / "vendor").iterdir() if file.name.endswith((".js", ".css"))]
    assert len(code) == 3
    for file in code:
        assert f"sha512 {sha512(file.read_bytes()).hexdigest()}" in re.sub(r"\s+", " ", record)
        library = file.name.split("-")[0]
        assert (CONSOLE / "vendor" / f"LICENSE-{library}").is_file()
    assert len(re.findall(r"sha512-[A-Za-z0-9+/]{86}==", record)) == 2
