"""The snippets of README.md, as files: each begins with a comment that names it."""

import re
from pathlib import Path

README = Path(__file__).parents[3] / "README.md"
_ANY = re.compile(r"^```js\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SNIPPET = re.compile(r"^```js\n(// ([A-Za-z]+\.js)\b.*?)^```$", re.MULTILINE | re.DOTALL)


def snippet_with(words: str) -> str:
    """The one snippet that has these words."""
    [found] = [code for code in _ANY.findall(README.read_text(encoding="utf-8")) if words in code]
    return str(found)


def snippets() -> dict[str, str]:
    """File name -> its text."""
    text = README.read_text(encoding="utf-8")
    return {name: code for code, name in _SNIPPET.findall(text)}
