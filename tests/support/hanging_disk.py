"""``evorelay`` on a disk whose journal hangs for as long as a file exists.

Run as a program: ``python -P hanging_disk.py FILE PYTHON -m evorelay …``. All but the disk is real.
"""

import os
import sys
import time
from collections.abc import Sequence

from evorelay.cli.main import main
from evorelay.model.envelope import Envelope
from evorelay.storage.sqlite.journal import SqliteJournal

_append = SqliteJournal.append


def _append_when_it_may(self: SqliteJournal, envelopes: Sequence[Envelope]) -> int:
    while os.path.exists(sys.argv[1]):
        time.sleep(0.01)
    return _append(self, envelopes)


if __name__ == "__main__":
    SqliteJournal.append = _append_when_it_may  # type: ignore[method-assign]  # the disk's fault
    main(sys.argv[5:])
