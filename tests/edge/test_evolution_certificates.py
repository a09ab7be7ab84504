"""P8: how long Evolution's certificates are good for is known before they end."""

from pathlib import Path

import pytest
import trio

from evorelay.config import EvolutionConfig, EvolutionInstanceConfig
from evorelay.edge.evolution import certificates
from evorelay.edge.evolution.certificates import Certificates, Server, servers_of
from evorelay.edge.evolution.trust import Trust
from tests.edge.test_evolution_trust import Certificate
from tests.support.evolution import open_evolution

PIN = "0" * 64


async def test_the_end_of_a_certificate_is_seen_and_nothing_is_sent(tmp_path: Path) -> None:
    certificate = Certificate(tmp_path, days=9)
    async with open_evolution(certificate.context) as evolution, trio.open_nursery() as nursery:
        config = EvolutionConfig(url=evolution.url, ca_file=str(certificate.path))
        watched = Certificates(servers_of(config))
        await nursery.start(watched.run)
        with trio.fail_after(30):
            while not watched.until:
                await trio.sleep(0.01)
        ((host, until),) = watched.until.items()
        assert host == evolution.url.removeprefix("https://")
        end = certificate.certificate.not_valid_after_utc
        assert until == int(end.timestamp() * 1000)
        assert evolution.bytes_received == 0
        nursery.cancel_scope.cancel()


async def test_one_that_does_not_answer_is_looked_at_again_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It starts after us, say; and what was seen of the others is known meanwhile."""
    monkeypatch.setattr(certificates, "RETRY_S", 0.01)
    certificate = Certificate(tmp_path)
    trust = Trust(str(certificate.path))
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    looks = 0

    class Counted(Certificates):
        async def _look(self, server: Server) -> bool:
            nonlocal looks
            looks += 1
            return await super()._look(server)

    async with open_evolution(certificate.context) as evolution, trio.open_nursery() as nursery:
        there = Server("localhost", int(evolution.url.rpartition(":")[2]), trust)
        watched = Counted([Server("127.0.0.1", port, trust), there])
        await nursery.start(watched.run)
        with trio.fail_after(30):
            while looks < 4:
                await trio.sleep(0.01)
        assert list(watched.until) == [f"localhost:{there.port}"]
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (EvolutionConfig(), []),
        (EvolutionConfig(url="http://e:8080"), []),
        (EvolutionConfig(url="https://e"), [("e", 443)]),
        (EvolutionConfig(url="https://e:8443/api", fingerprint_sha256=PIN), []),
        (
            EvolutionConfig(
                url="https://e",
                instances={
                    "same": EvolutionInstanceConfig(api_key="k"),
                    "other": EvolutionInstanceConfig(url="https://f:444"),
                    "pinned": EvolutionInstanceConfig(url="https://g", fingerprint_sha256=PIN),
                },
            ),
            [("e", 443), ("f", 444)],
        ),
    ],
)
def test_each_server_is_looked_at_once_and_a_pinned_one_never(
    config: EvolutionConfig, expected: list[tuple[str, int]]
) -> None:
    """Of a pin neither dates nor names count."""
    assert [(server.host, server.port) for server in servers_of(config)] == expected
