"""What looks at Evolution: instances watched, what was dropped found, files fetched and sent."""

import random
from functools import partial

from msgspec import Struct

from evorelay.assembly.core import Core
from evorelay.config import Config
from evorelay.edge.downloads import Downloads, public_or_one_of, public_web
from evorelay.edge.evolution.trust import Trust, context_for
from evorelay.model.clock import now_ms
from evorelay.model.ids import new_id
from evorelay.relay.blobs import BlobStore
from evorelay.relay.comparison import Comparer
from evorelay.relay.fetching import Fetching
from evorelay.relay.gateway import Gateway
from evorelay.relay.instance_look import Looks
from evorelay.relay.outbox import Outbox
from evorelay.relay.reconciler import Reconciler
from evorelay.relay.reconnects import Reconnects
from evorelay.relay.silent_sends import SilentSends
from evorelay.relay.uploads import Uploads
from evorelay.relay.watch import InstanceWatch


class Outward(Struct, frozen=True, kw_only=True):
    """What asks Evolution for something, and what is handed in to be sent."""

    reconnects: Reconnects
    watch: InstanceWatch
    reconciler: Reconciler
    silent_sends: SilentSends
    fetching: Fetching
    uploads: Uploads
    outbox: Outbox


def build_outward(config: Config, core: Core, blobs: BlobStore, gateway: Gateway) -> Outward:
    """Everything that looks at Evolution beside the lanes."""
    reconnects = Reconnects(
        gateway,
        core.ledger,
        core.reads,
        core.news,
        cooldown_s=config.evolution.reconnect_cooldown,
        now=now_ms,
    )
    looks = Looks(
        gateway,
        core.ledger,
        core.news,
        evolution=config.evolution,
        webhook=config.webhook,
        public_url=config.server.public_url,
        now=now_ms,
    )
    watch = InstanceWatch(
        gateway,
        core.reads,
        looks,
        reconnects,
        poll_every_s=config.evolution.poll_every,
        rand=random.random,
    )
    comparer = Comparer(
        gateway,
        core.journal,
        core.ledger,
        core.metrics,
        handled=lambda: core.pipeline.cursor,
        now=now_ms,
        rows_max=config.evolution.reconcile_max_messages,
        store_status_posts=config.tickets.store_status_posts,
        bygone=core.bygone,
    )
    reconciler = Reconciler(
        gateway,
        comparer,
        core.reads,
        core.ledger,
        core.signals,
        core.metrics,
        silence_s=config.evolution.silence,
        back_s=config.evolution.reconcile_max,
        new_id=new_id,
        now=now_ms,
    )
    silent_sends = SilentSends(gateway, core.reads, core.ledger, now=now_ms)
    downloads = partial(
        Downloads, blobs, bytes_max=config.media.max_bytes, tls=context_for(Trust())
    )
    fetching = Fetching(
        core.fetches,
        core.ledger,
        core.reads,
        blobs,
        gateway,
        downloads(may_reach=public_or_one_of(_file_hosts(config))),
        core.metrics,
        per_minute=config.media.fetch_per_minute,
        now=now_ms,
    )
    uploads = Uploads(
        blobs,
        core.ledger,
        core.reads,
        downloads(may_reach=public_web),
        media_of=core.desk.media_of,
        refusal=lambda: core.journal.refusal,
        bytes_max=config.media.max_bytes,
    )
    outbox = Outbox(
        core.ledger,
        core.reads,
        core.lanes,
        gateway,
        uploads,
        core.manners,
        core.metrics,
        reopen_within_ms=int(config.tickets.reopen_within * 1000),
        queued_max=config.outbox.max_queued,
        same_command_within_ms=int(config.outbox.same_command_within * 1000),
    )
    return Outward(
        reconnects=reconnects,
        watch=watch,
        reconciler=reconciler,
        silent_sends=silent_sends,
        fetching=fetching,
        uploads=uploads,
        outbox=outbox,
    )


def _file_hosts(config: Config) -> list[str]:
    """Where files of messages may be although the address is private."""
    urls = [config.evolution.url, *(one.url for one in config.evolution.instances.values())]
    return [*filter(None, urls), *config.media.allow_hosts]
