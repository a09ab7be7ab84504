"""Every bench one after the other: ``python -m bench [--quick] [--json DIRECTORY]``."""

import argparse
import subprocess
import sys
from pathlib import Path

BENCHES = (
    "decode",
    "durable_accept",
    "end_to_end",
    "fanout",
    "socketio",
    "idle",
    "catchup",
    "search",
    "restore",
    "replies",
    "restarts",
    "start",
)


def main() -> int:
    """Run each as its own command; returns 1 when any of them failed."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="some seconds each")
    parser.add_argument("--json", type=Path, metavar="DIRECTORY", help="one result file for each")
    options = parser.parse_args()
    failed = []
    for name in BENCHES:
        command = [sys.executable, "-m", f"bench.{name}"]
        if options.quick:
            command.append("--quick")
        if options.json is not None:
            options.json.mkdir(parents=True, exist_ok=True)
            command += ["--json", str(options.json / f"{name}.json")]
        if subprocess.run(command, check=False).returncode:
            failed.append(name)
    if failed:
        print(f"Failed: {', '.join(failed)}.")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
