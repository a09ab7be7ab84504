"""What health says of the configuration is what the gateway makes of it."""

from pathlib import Path

import pytest

from evorelay.assembly.edges import can_send
from evorelay.config import EvolutionConfig, EvolutionInstanceConfig, MediaConfig
from evorelay.edge.evolution.client import open_gateway
from evorelay.relay.blobs import BlobStore

URL = "http://127.0.0.1:9"
NAMED = {"loja": EvolutionInstanceConfig(api_key="its own")}


@pytest.mark.parametrize(
    ("config", "is_enough"),
    [
        (EvolutionConfig(), False),
        (EvolutionConfig(url=URL), False),
        (EvolutionConfig(api_key="key"), False),
        (EvolutionConfig(url=URL, api_key="key"), True),
        (EvolutionConfig(instances=NAMED), False),
        (EvolutionConfig(url=URL, instances=NAMED), True),
    ],
)
async def test_replies_can_be_sent_with_an_address_and_a_key(
    tmp_path: Path, config: EvolutionConfig, is_enough: bool
) -> None:
    blobs = await BlobStore.open(tmp_path)
    async with open_gateway(config, MediaConfig(), blobs) as gateway:
        assert can_send(gateway) is is_enough
