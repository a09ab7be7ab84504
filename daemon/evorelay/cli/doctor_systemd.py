"""What ``evorelay doctor`` asks systemd: is the service as its unit should make it."""

from pathlib import Path

from evorelay.cli.doctor_host import BACKLOG, check_descriptors, output_of
from evorelay.cli.findings import Findings
from evorelay.config import Config
from evorelay.settings.values import UnixBind, host_in_url, parse_bind

SERVICE, SOCKET = "evorelay.service", "evorelay.socket"


def check_systemd(config: Config, findings: Findings) -> bool:
    """Whether systemd has a service of ours. If not, nothing is said."""
    service = _properties(
        SERVICE,
        "LoadState,ActiveState,NeedDaemonReload,NRestarts,Type,WatchdogUSec,TimeoutStopUSec,"
        "LimitNOFILE,MainPID",
    )
    if service.get("LoadState") != "loaded":
        return False
    before = len(findings.all)
    _check_socket(config, findings)
    _check_service(config, service, findings)
    if len(findings.all) == before:
        findings.ok("systemd", f"{SERVICE} is {service['ActiveState']}, with socket and watchdog")
    most = _open_files_of(service["MainPID"]) or service["LimitNOFILE"]
    if most.isdecimal():
        check_descriptors(config, int(most), findings)
    return True


def _open_files_of(pid: str) -> str:
    """What the running daemon really got: systemd, in a container, may not give what the unit says.

    Empty when it does not run, or is not ours to look at.
    """
    try:
        limits = Path(f"/proc/{pid}/limits").read_text()
    except OSError:
        return ""
    return next(
        (line.split()[3] for line in limits.splitlines() if line.startswith("Max open files")), ""
    )


def _check_socket(config: Config, findings: Findings) -> None:
    about = "socket"
    unit = _properties(SOCKET, "LoadState,ActiveState,Result,Listen,Backlog")
    if unit.get("LoadState") != "loaded":
        findings.warn(
            about, f"there is no {SOCKET}: connections are refused during a restart; install it"
        )
        return
    if unit["ActiveState"] != "active":
        reason = unit["Result"]
        findings.fail(
            about,
            f"{SOCKET} is {unit['ActiveState']} ({reason}); run `systemctl start {SOCKET}`,"
            f" and look at `journalctl -u {SERVICE} -p err`",
        )
        return
    listens = unit["Listen"].rpartition(" (")[0]
    wanted = _as_systemd_writes(config.server.bind)
    if listens != wanted:
        findings.fail(
            about,
            f"{SOCKET} listens on {listens} and server.bind is {wanted}: the socket's address is"
            " served, and commands ask the other; make them the same",
        )
    elif int(unit["Backlog"]) < BACKLOG:
        findings.warn(
            about,
            f"Backlog={unit['Backlog']} of {SOCKET} is small for a restart; make it {BACKLOG}",
        )


def _as_systemd_writes(bind: str) -> str:
    parsed = parse_bind(bind)
    if isinstance(parsed, UnixBind):
        return parsed.path
    return f"{host_in_url(parsed.host)}:{parsed.port}"


def _check_service(config: Config, unit: dict[str, str], findings: Findings) -> None:
    about = "service"
    state = unit["ActiveState"]
    if state in ("failed", "activating", "inactive"):
        # The last of them is also what a socket that waits for its first connection looks like.
        say = findings.fail if state == "failed" else findings.warn
        say(
            about,
            f"{SERVICE} is {state}; run `systemctl start {SERVICE}`, and look at"
            f" `journalctl -u {SERVICE} -n 50`",
        )
    if unit["NeedDaemonReload"] == "yes":
        findings.warn(about, "its unit was changed; run `systemctl daemon-reload` and restart it")
    if unit["Type"] != "notify" or unit["WatchdogUSec"] in ("0", "infinity"):
        findings.warn(
            about,
            "has no watchdog, so a daemon that hangs is not restarted; take Type=notify and"
            " WatchdogSec=30 from our unit",
        )
    drain_s = config.server.drain_timeout
    stop_s = seconds_of(unit["TimeoutStopUSec"])
    if stop_s is not None and stop_s <= drain_s:
        findings.warn(
            about,
            f"is killed after {stop_s:g} s of stopping, and server.drain_timeout is {drain_s:g} s;"
            " raise TimeoutStopSec=",
        )
    if unit["NRestarts"] not in ("0", ""):
        findings.warn(
            about,
            f"systemd had to restart it {unit['NRestarts']} times since it was started;"
            f" look at `journalctl -u {SERVICE} -p err`",
        )


def _properties(unit: str, names: str) -> dict[str, str]:
    """Properties of a unit as ``systemctl show`` has them; empty without systemd."""
    said = output_of("systemctl", "show", unit, f"--property={names}")
    found = dict.fromkeys(names.split(","), "") if said else {}
    for line in (said or "").splitlines():
        name, _, value = line.partition("=")
        found[name] = value
    return found


def seconds_of(span: str) -> float | None:
    """A time span as systemd shows it (``1min 30s``); None for none."""
    units = {"min": 60.0, "ms": 0.001, "us": 1e-6, "h": 3600.0, "s": 1.0}
    total = 0.0
    for part in span.split():
        unit = next((unit for unit in units if part.endswith(unit)), None)
        number = part.removesuffix(unit or "")
        if unit is None or not number.replace(".", "", 1).isdigit():
            return None
        total += float(number) * units[unit]
    return total if span else None
