"""What a rule about the configuration yields, and the two rules that many keys share."""

from collections.abc import Callable, Iterator

Problem = tuple[str, str]
"""(key, "what is wrong; what to do"), and never a value that could be a secret."""


def readable(key: str, path: str) -> Iterator[Problem]:
    """Nothing, or that this user may not read the file."""
    try:
        with open(path, "rb"):
            pass
    except OSError as error:
        yield key, f"cannot be read ({error.strerror}); name a file this user may read"


def parsed(key: str, parse: Callable[[str], object], text: str) -> Iterator[Problem]:
    """Nothing, or why one of ``settings/values.py`` does not take the text."""
    try:
        parse(text)
    except ValueError as error:
        yield key, str(error)
