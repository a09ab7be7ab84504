"""``evorelay backup``: make one now, list them, prove one, put one back."""

import json
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from evorelay.cli.backup_progress import progress, working
from evorelay.cli.common import check_owner, config_option, json_option, read_config
from evorelay.cli.offline import forget_erased
from evorelay.config import Config
from evorelay.model.backup import CheckResult, DamagedBackup, Restored, RestoreRefused
from evorelay.model.errors import StoreInUse
from evorelay.model.sizes import readable_bytes
from evorelay.relay.backup.chain import chain_to, gap_before, read_manifests
from evorelay.relay.backup.checking import check_backup
from evorelay.relay.backup.files_of_messages import missing_files
from evorelay.relay.backup.listing import drop_old, listed
from evorelay.relay.backup.making import make_backup
from evorelay.relay.backup.pace import Pace
from evorelay.relay.backup.restoring import restore_backup, scratch_beside
from evorelay.relay.backup.shelf import Shelf, shelf_of
from evorelay.relay.blobs import BlobStore
from evorelay.storage.open import backup_store, store_for_restore

_PATIENCE_S = 300.0
"""While the daemon makes or checks one: a command that an operator typed comes after it."""
_NICE = 10
"""Whatever else runs on the machine goes first."""


@click.group("backup")
def command() -> None:
    """Backups: made every night by the daemon, checked by restoring them."""


@command.command("now")
@config_option
@json_option
def now(config_file: Path | None, as_json: bool) -> None:
    """Make a backup now and check it; beside a running daemon or without one."""
    config = _prepared(config_file)
    shelf = shelf_of(config)
    store = backup_store(Path(config.state_dir), config.storage.url)
    with shelf.locked(patience_s=_PATIENCE_S), working("Making a backup", is_shown=not as_json):
        drop_old(shelf, config.backup.keep)  # what a lower backup.keep gives up makes room
        manifest = make_backup(
            store,
            shelf,
            datetime.now(UTC),
            Pace(),
            keep=config.backup.keep,
            spare_bytes=config.webhook.min_free_bytes,
        )
        result = check_backup(store, shelf, manifest.id, datetime.now(UTC), Pace())
        drop_old(shelf, config.backup.keep)
    path = shelf.place(manifest.id)
    messages = manifest.counts.get("message", 0)
    if as_json:
        click.echo(
            json.dumps(
                {
                    "id": manifest.id,
                    "path": str(path),
                    "messages": messages,
                    "state": "damaged" if result.problem else "verified",
                    "problem": result.problem,
                }
            )
        )
    else:
        size = readable_bytes(shelf.size(manifest.id))
        click.echo(f"{path}: {messages:,} messages new or changed, {size}")
        _tell_check(result)
    sys.exit(1 if result.problem else 0)


@command.command("list")
@config_option
@json_option
def list_(config_file: Path | None, as_json: bool) -> None:
    """Show what backups there are, the newest first."""
    views = listed(shelf_of(read_config(config_file)))
    if as_json:
        click.echo(msgspec.json.encode({"backups": views}).decode())
        return
    if not views:
        click.echo("There is no backup yet; make one with `evorelay backup now`.")
        return
    from rich.console import Console  # late: most commands and every script do without
    from rich.table import Table

    table = Table("id", "made at (UTC)", "messages", "size", "state")
    for view in views:
        table.add_row(
            view.id,
            f"{view.created_at:%Y-%m-%d %H:%M:%S}",
            f"{view.messages:,}" + ("" if view.from_ else " (all)"),
            readable_bytes(view.size_bytes),
            view.state + (f": {view.problem}" if view.problem else "; see below" * bool(view.gap)),
        )
    Console().print(table)
    for view in views:
        if view.gap:
            click.echo(f"{view.id}: {view.gap}")


@command.command("verify")
@click.argument("backup_id", required=False, metavar="[ID]")
@click.option("--all", "everything", is_flag=True, help="Every backup there is.")
@config_option
@json_option
def verify(
    backup_id: str | None, everything: bool, config_file: Path | None, as_json: bool
) -> None:
    """Check every byte of a backup, the newest by default, and restore it into a scratch store.

    Exit status 1 when it is damaged; with --all also when one of the chain is missing.
    """
    if everything and backup_id is not None:
        raise click.UsageError("give an ID or --all, not both")
    config = _prepared(config_file)
    shelf = shelf_of(config)
    store = backup_store(Path(config.state_dir), config.storage.url)
    ids = shelf.ids() if everything else [shelf.chosen(backup_id)]
    results = []
    with shelf.locked(patience_s=_PATIENCE_S):
        for one in ids:
            with working(f"Checking {one}", is_shown=not as_json):
                result = check_backup(store, shelf, one, datetime.now(UTC), Pace())
            results.append(result)
            if not as_json:
                _tell_check(result)
    gaps = _gaps(shelf, ids)
    is_wrong = any(result.problem for result in results) or (everything and bool(gaps))
    if as_json:
        views = [
            {
                "id": result.id,
                "state": "damaged" if result.problem else "verified",
                "problem": result.problem,
                "verified_at": result.at.isoformat(),
                "gap": gaps.get(result.id),
            }
            for result in results
        ]
        click.echo(json.dumps({"backups": views} if everything else views[0]))
    else:
        for one, gap in gaps.items():
            click.echo(f"{one}: {gap}", err=True)
    sys.exit(1 if is_wrong else 0)


@command.command("restore")
@click.argument("backup_id", required=False, metavar="[ID]")
@click.option(
    "--from-conversations",
    is_flag=True,
    help="Restore from the JSON Lines of all days, without the copy of the database.",
)
@click.option(
    "--partial",
    "is_partial",
    is_flag=True,
    help="With --from-conversations: also where backups of some days are missing.",
)
@config_option
@json_option
def restore(
    backup_id: str | None,
    from_conversations: bool,
    is_partial: bool,
    config_file: Path | None,
    as_json: bool,
) -> None:
    """Put a backup, the newest by default, into the store of this configuration.

    The daemon must be stopped. An empty store becomes what it was; one that is not takes what it
    lacks and keeps what it has, so that restoring twice changes nothing.
    """
    if is_partial and not from_conversations:
        raise click.UsageError("--partial goes with --from-conversations")
    config = _prepared(config_file)
    shelf = shelf_of(config)
    chosen = shelf.chosen(backup_id)
    state_dir = Path(config.state_dir)
    try:
        with (
            store_for_restore(state_dir, config.storage.url) as store,
            shelf.locked(patience_s=_PATIENCE_S),
            scratch_beside(store) as scratch,
            progress(is_shown=not as_json) as told,
        ):
            restored = restore_backup(
                store,
                shelf,
                chosen,
                scratch,
                Pace(),
                told,
                from_conversations=from_conversations,
                is_partial=is_partial,
            )
            missing = missing_files(
                shelf, shelf.manifest(chosen)[0], _is_here(state_dir / "blobs"), Pace()
            )
    except StoreInUse:
        raise RestoreRefused(
            f"the daemon is running on {state_dir}; stop it first (systemctl stop evorelay),"
            " then restore, then start it"
        ) from None
    except DamagedBackup as error:
        other = "" if from_conversations else ", or try --from-conversations"
        raise DamagedBackup(f"{chosen}: {error}; restore an older one{other}") from error
    erased = forget_erased(config)
    if as_json:
        answer = msgspec.to_builtins(restored) | {"missing_files": missing}
        click.echo(json.dumps(answer))
    else:
        _tell_restored(restored)
        if missing:
            click.echo(
                f"{missing:,} files of messages are not on this machine: a backup names them and"
                f" does not hold them. Copy {state_dir / 'blobs'} from where you keep it.",
                err=True,
            )
        if erased:
            click.echo(f"People who were erased since, and now again: {erased:,}")


def _prepared(config_file: Path | None) -> Config:
    """The configuration, by a user who will leave no file behind that the daemon cannot use."""
    config = read_config(config_file)
    check_owner(config)
    with suppress(OSError):
        os.nice(_NICE)
    return config


def _gaps(shelf: Shelf, ids: list[str]) -> dict[str, str]:
    """What is missing before these backups; of a single one, in the whole chain it continues."""
    manifests = read_manifests(shelf)
    gaps = {}
    for one in (one for one in ids if one in manifests):
        links = [one]
        if len(ids) == 1:
            links = [link.id for link in chain_to(manifests, manifests[one][0]).links]
        if found := [gap for link in links if (gap := gap_before(manifests, link))]:
            gaps[one] = "; ".join(found)
    return gaps


def _tell_check(result: CheckResult) -> None:
    if result.problem is None:
        click.echo(f"{result.id}: restored into a scratch store, and all of it is right")
    else:
        click.echo(f"{result.id}: damaged: {result.problem}", err=True)


def _tell_restored(restored: Restored) -> None:
    for stretch in restored.missing:
        click.echo(
            f"Not in it: {stretch}. The backup that held it is missing or damaged.", err=True
        )
    if not restored.rows:
        click.echo(f"{restored.id}: everything in it was here already; nothing was changed")
        return
    click.echo(
        f"{restored.id}: restored {restored.messages:,} messages, {restored.rows:,} rows in all"
    )
    if restored.failed_replies:
        click.echo(
            f"{restored.failed_replies:,} replies were waiting to be sent then. They count as"
            " failed now: they may have been sent since.",
            err=True,
        )


def _is_here(blobs: Path) -> Callable[[str], bool]:
    store = BlobStore(blobs)

    def is_here(sha256: str) -> bool:
        try:
            return store.path(sha256).exists()
        except ValueError:  # no name of a file: nobody can fetch it, and nobody misses it
            return True

    return is_here
