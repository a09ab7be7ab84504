"""What the simulated database finds: the truth about what was said, whoever was told."""

import random

import pytest

from evorelay.simulator.aftermath import Shares
from evorelay.simulator.archive import Archive
from evorelay.simulator.emission import Emission
from evorelay.simulator.scenario import Scenario
from evorelay.simulator.station import Station
from tests.support.simulated import SENT_MS, a_message, an_instance

NAME = an_instance("2.3.6 baileys").name
ALL_READ = Shares(delivered=1, read=1)


def _webhooks(number: int, kind: str = "text", *, api: bool = False) -> list[Emission]:
    """A message and what becomes of it, sent that many seconds after the start."""
    station = Station(an_instance("2.3.6 baileys"), "http://r/")
    stations = {NAME: station}
    scenario = Scenario(stations, seed=1, start_ms=SENT_MS, rate_per_minute=0)
    message = a_message(
        station.instance, kind, api=api, id=f"m{number}", sent_ms=SENT_MS + number * 1000
    )
    return scenario.webhooks_of(station, message, float(number), random.Random(1), ALL_READ)


def _archive(*numbers: int, messages_max: int = 100) -> Archive:
    archive = Archive(messages_max)
    for number in numbers:
        archive.keep(_webhooks(number)[0])
    return archive


def _ids(archive: Archive, where: dict[str, object]) -> list[str]:
    return [row["key"]["id"] for row in archive.find(NAME, where)]


def test_the_newest_comes_first_whenever_it_was_kept() -> None:
    assert _ids(_archive(2, 3, 1), {}) == ["m3", "m2", "m1"]


def test_another_instances_messages_are_not_found() -> None:
    assert _archive(1).find("other", {}) == []


def test_rows_are_found_by_every_part_of_their_key() -> None:
    archive = _archive(1, 2)
    archive.keep(_webhooks(3, api=True)[0])
    assert _ids(archive, {"key": {"id": "m2"}}) == ["m2"]
    assert _ids(archive, {"key": {"id": "m2", "fromMe": True}}) == []
    assert _ids(archive, {"key": {"fromMe": True}}) == ["m3"]
    assert _ids(archive, {"key": {"remoteJid": "nobody@s.whatsapp.net"}}) == []


def test_a_window_has_both_its_ends_in_it() -> None:
    archive = _archive(0, 1, 2, 3)
    window = {"gte": "2026-11-22T11:13:21Z", "lte": "2026-11-22T11:13:22.900Z"}
    assert _ids(archive, {"messageTimestamp": window}) == ["m2", "m1"]


def test_a_window_with_one_end_filters_nothing() -> None:
    """As in Evolution's source (research/evolution.md §4.2)."""
    assert len(_ids(_archive(1, 2), {"messageTimestamp": {"gte": "2099-01-01T00:00:00Z"}})) == 2


def test_a_time_that_is_none_is_an_error() -> None:
    with pytest.raises(ValueError, match="Invalid isoformat"):
        _archive(1).find(NAME, {"messageTimestamp": {"gte": "yesterday", "lte": "today"}})


def test_a_row_has_no_status_but_its_updates() -> None:
    archive = Archive(10)
    for emission in _webhooks(1, api=True):
        archive.keep(emission)
    [row] = archive.find(NAME, {})
    assert "status" not in row
    said = ["SERVER_ACK", "DELIVERY_ACK", "READ"]
    assert [update["status"] for update in row["MessageUpdate"]] == said
    assert [update["status"] for update in archive.updates(NAME, "m1")] == said
    assert archive.updates(NAME, "m2") == []


def test_keeping_twice_is_keeping_once() -> None:
    archive = Archive(10)
    first, *_ = _webhooks(1)
    archive.keep(first)
    archive.keep(first)
    assert len(archive.find(NAME, {})) == 1


def test_a_file_is_kept_beside_its_row() -> None:
    archive = Archive(10)
    archive.keep(_webhooks(1, "image")[0])
    archive.keep(_webhooks(2)[0])
    found = archive.media(NAME, "m1")
    assert found is not None
    row, media = found
    assert "base64" not in row["message"]
    assert media.content.startswith(b"\x89PNG")
    assert archive.media(NAME, "m2") is None


def test_the_oldest_are_forgotten_beyond_the_bound() -> None:
    assert _ids(_archive(1, 2, 3, messages_max=2), {}) == ["m3", "m2"]
    assert _ids(_archive(1, messages_max=0), {}) == []
