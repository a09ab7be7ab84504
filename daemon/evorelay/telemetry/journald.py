"""Lines for systemd's journal: it has the time already, and reads the priority off each line.

``<3>`` in front of a line is sd-daemon(3)'s way to say how grave it is; with it ``journalctl -p
err`` shows errors alone. The journal takes the prefix away again.
"""

import logging
import os
from collections.abc import Mapping

_PRIORITIES = (
    (logging.CRITICAL, 2),
    (logging.ERROR, 3),
    (logging.WARNING, 4),
    (logging.INFO, 6),
)
_DEBUG = 7


def is_journal(fd: int, environ: Mapping[str, str]) -> bool:
    """Whether ``fd`` leads to the journal; ``JOURNAL_STREAM`` alone may be inherited from afar."""
    device, _, inode = environ.get("JOURNAL_STREAM", "").partition(":")
    try:
        found = os.fstat(fd)
    except OSError:
        return False
    return (device, inode) == (str(found.st_dev), str(found.st_ino))


def prefixed(text: str, level: int) -> str:
    """Every line of ``text`` with the priority of a ``logging`` level."""
    priority = next((number for least, number in _PRIORITIES if level >= least), _DEBUG)
    return "\n".join(f"<{priority}>{line}" for line in text.split("\n"))
