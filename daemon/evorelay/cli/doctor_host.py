"""What ``evorelay doctor`` looks at beneath the daemon: file system, owners, limits, clock."""

import os
import resource
import stat
import subprocess
from pathlib import Path

from evorelay.cli.findings import Findings
from evorelay.config import Config
from evorelay.secrets import all_secrets

MOUNTS = Path("/proc/self/mountinfo")
SOMAXCONN = Path("/proc/sys/net/core/somaxconn")
BACKLOG = 4096
"""Of evorelay.socket: what may wait while the daemon restarts."""
SPARE_DESCRIPTORS = 512
"""Besides one for each connection: databases, files, calls to Evolution."""
_NETWORK = frozenset(
    {
        *("9p", "afs", "beegfs", "ceph", "cifs", "gfs2", "glusterfs", "lustre", "ncpfs", "nfs"),
        *("nfs4", "ocfs2", "smb3", "smbfs", "vboxsf"),
        *("fuse.glusterfs", "fuse.rclone", "fuse.s3fs", "fuse.sshfs"),
    }
)
"""SQLite's WAL needs memory that all who use the file share, and locks that hold (sqlite.org)."""
_IN_MEMORY = frozenset({"tmpfs", "ramfs"})
_ENTRIES_MAX = 1000
_COMMAND_S = 5.0


def check_host(config: Config, config_file: Path, findings: Findings) -> None:
    directory = Path(config.state_dir)
    if directory.is_dir():
        _check_filesystem(directory, findings)
        _check_owners(directory, findings)
    _check_config_file(config, config_file, findings)
    _check_queue(findings)
    _check_clock(findings)


def _check_filesystem(directory: Path, findings: Findings) -> None:
    about = "file system"
    kind = filesystem_of(directory, MOUNTS.read_text(errors="replace"))
    if kind in _NETWORK:
        findings.fail(
            about,
            f"{directory} is on {kind}: SQLite loses data on network file systems;"
            " move state_dir to a local disk",
        )
    elif kind in _IN_MEMORY:
        findings.warn(
            about,
            f"{directory} is on {kind}, which is gone after a restart of the machine;"
            " move state_dir to a disk",
        )
    elif kind == "overlay":
        findings.warn(
            about, f"{directory} is inside a container and goes with it; mount a volume there"
        )
    else:
        findings.ok(about, f"{kind}, which is local")


def filesystem_of(path: Path, mountinfo: str) -> str:
    """The type of the file system that ``path`` is on, by ``/proc/self/mountinfo`` (proc(5))."""
    real = os.path.realpath(path)
    best, kind = "", "unknown"
    for line in mountinfo.splitlines():
        mount, separator, rest = line.partition(" - ")
        fields = mount.split(" ")
        if not separator or len(fields) < 5:
            continue
        place = fields[4].replace("\\040", " ")
        is_inside = real == place or real.startswith(place.rstrip("/") + "/")
        if is_inside and len(place) >= len(best):  # of two at one place the later hides the other
            best, kind = place, rest.split(" ")[0]
    return kind


def _check_owners(directory: Path, findings: Findings) -> None:
    """A command typed as root leaves files that the daemon's user cannot write."""
    about = "owners"
    owner = directory.stat().st_uid
    foreign, open_to_others = [], []
    with os.scandir(directory) as entries:
        for entry, _ in zip(entries, range(_ENTRIES_MAX), strict=False):
            status = entry.stat(follow_symlinks=False)
            if status.st_uid != owner:
                foreign.append(entry.name)
            elif status.st_mode & 0o007 and stat.S_ISREG(status.st_mode):
                open_to_others.append(entry.name)
    if foreign:
        findings.fail(
            about,
            f"{', '.join(sorted(foreign)[:5])} in {directory} belong to somebody else than the"
            f" directory; run `chown -R --reference={directory} {directory}`",
        )
    elif open_to_others and directory.stat().st_mode & 0o001:
        findings.warn(
            about,
            f"others may read {', '.join(sorted(open_to_others)[:5])} in {directory};"
            f" run `chmod -R o= {directory}`",
        )
    else:
        findings.ok(about, f"everything in {directory} is its owner's")


def _check_config_file(config: Config, file: Path, findings: Findings) -> None:
    try:
        mode, text = stat.S_IMODE(file.stat().st_mode), file.read_text(errors="replace")
    except OSError:
        return  # none, or one that was read before as another user: then it told so
    if mode & 0o004 and any(secret in text for secret in all_secrets(config)):
        findings.warn(
            "configuration file",
            f"others may read the secrets in {file} (mode {mode:04o}); run `chmod o= {file}`",
        )


def check_descriptors(config: Config, most: int, findings: Findings) -> None:
    """``most``: how many files the daemon may have open; each connection is one."""
    about = "open files"
    wanted = config.server.max_connections + SPARE_DESCRIPTORS
    if most < wanted:
        findings.warn(
            about,
            f"the daemon may have {most} and server.max_connections wants {wanted}; raise"
            " LimitNOFILE= in the unit, or lower server.max_connections",
        )
    else:
        findings.ok(about, f"the daemon may have {most}")


def descriptors_of_ours() -> int:
    """How many files a process started as this one was may have open."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return hard if hard != resource.RLIM_INFINITY else 1 << 30


def _check_queue(findings: Findings) -> None:
    about = "waiting connections"
    try:
        somaxconn = int(SOMAXCONN.read_text())
    except (OSError, ValueError):
        return  # not Linux as we know it: nothing to advise
    if somaxconn < BACKLOG:
        findings.warn(
            about,
            f"net.core.somaxconn is {somaxconn}: no more can wait while the daemon restarts;"
            f" set it to {BACKLOG} in /etc/sysctl.d",
        )
    else:
        findings.ok(about, f"{somaxconn} may wait while the daemon restarts")


def _check_clock(findings: Findings) -> None:
    """Tokens expire by this clock, and backups go by it."""
    about = "clock"
    said = output_of("timedatectl", "show", "--property=NTPSynchronized", "--value")
    if said == "no":
        findings.warn(
            about,
            "nothing keeps this machine's clock right; install systemd-timesyncd or chrony",
        )
    elif said == "yes":
        findings.ok(about, "kept right by NTP")


def output_of(*command: str) -> str | None:
    """What a command says; None when it is not here, fails, or takes too long."""
    try:
        done = subprocess.run(  # noqa: S603  -- fixed words, no shell
            command, capture_output=True, text=True, timeout=_COMMAND_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
