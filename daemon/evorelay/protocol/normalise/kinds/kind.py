"""One entry of the table of message types, and the language its fields are written in.

A path is dotted (``header.title``) and follows ``values.dig``: ``*`` is every item of a list,
``{}`` reads JSON in a string, ``:name`` hands what was reached to a reader of ``readers.py``, and
``.`` alone is the content itself. Where a field takes several paths, the first that leads to
something counts; ``/`` begins the next part: another line of the text, another word of the detail.
"""

from collections.abc import Mapping
from typing import NamedTuple

from evorelay.protocol.normalise.kinds.readers import READERS
from evorelay.protocol.normalise.values import Path

FILE_ITSELF: tuple[Path, ...] = ((),)
"""``Kind.media`` where the content is a file and nothing else."""
Parts = tuple[tuple[Path, ...], ...]
"""Each the ways to say one thing, the best first."""


class Kind(NamedTuple):
    type: str
    label: str
    """What a person reads when there are no words in it."""
    text: Parts
    """The words, a line each. They are the content, and the label is left out …"""
    headed: bool
    """… unless this is set: then the label and the detail stand above them."""
    detail: Parts
    """Stands behind the label, separated by commas: a file's name, a place."""
    listed: Path | None
    """Texts to choose from, shown below it all, a line each."""
    keep: Mapping[str, tuple[Path, ...]]
    """What goes into the message's metadata, by its name there."""
    media: tuple[Path, ...]
    """Where a file of it may be."""


def kind(
    type_: str,
    label: str,
    *,
    text: str = "",
    detail: str = "",
    listed: str = "",
    headed: bool = False,
    media: str = "",
    **keep: str,
) -> Kind:
    return Kind(
        type=type_,
        label=f"[{label}]",
        text=_parts(text),
        headed=headed,
        detail=_parts(detail),
        listed=_path(listed) if listed else None,
        keep={name: _paths(written) for name, written in keep.items()},
        media=_paths(media),
    )


def _parts(written: str) -> Parts:
    return tuple(map(_paths, written.split(" / "))) if written else ()


def _paths(written: str) -> tuple[Path, ...]:
    return tuple(map(_path, written.split()))


def _path(dotted: str) -> Path:
    if dotted == ".":
        return ()
    steps = dotted.removeprefix(".").split(".")
    return tuple(READERS[step[1:]] if step[0] == ":" else step for step in steps)
