"""The scenario: repeatable from a seed, every id once, in order, at the rate asked for."""

import itertools
import random
from collections import defaultdict
from typing import Any

import msgspec
import pytest

from evorelay.simulator.aftermath import QUIET
from evorelay.simulator.cast import make_instances
from evorelay.simulator.dialects import DIALECTS
from evorelay.simulator.emission import Emission
from evorelay.simulator.scenario import Scenario
from evorelay.simulator.station import Station
from tests.support.simulated import a_message

START_MS = 1_795_346_000_000  # 2026-11-22T11:13:20Z
TARGET = "http://relay.example/hook/secret"


def _scenario(
    instances: int = 5, *, seed: int = 1, start_ms: int = START_MS, rate: float = 90
) -> Scenario:
    cast = make_instances(instances, seed, tuple(DIALECTS))
    stations = {instance.name: Station(instance, TARGET) for instance in cast}
    return Scenario(stations, seed=seed, start_ms=start_ms, rate_per_minute=rate)


def _first(count: int, scenario: Scenario) -> list[Emission]:
    return list(itertools.islice(scenario.emissions(), count))


def _body(emission: Emission) -> dict[str, Any]:
    return msgspec.json.decode(emission.body, type=dict[str, Any])


@pytest.fixture(scope="module")
def day() -> list[Emission]:
    return _first(8000, _scenario())


def _messages(emissions: list[Emission]) -> list[Emission]:
    return [e for e in emissions if e.message and e.status is None]


def test_the_same_seed_and_start_give_the_same_webhooks(day: list[Emission]) -> None:
    assert day == _first(8000, _scenario())


def test_another_seed_gives_other_webhooks(day: list[Emission]) -> None:
    assert day[:50] != _first(50, _scenario(seed=2))


def test_a_later_start_meets_the_same_people_with_new_messages(day: list[Emission]) -> None:
    """A receiver dedupes for ever (P2), so a second run must not repeat the first one's ids."""
    later = _first(8000, _scenario(start_ms=START_MS + 60_000))
    ids, later_ids = ({e.message for e in _messages(run)} for run in (day, later))
    assert ids.isdisjoint(later_ids)
    names, later_names = (
        {_body(e)["data"].get("pushName") for e in _messages(run)} for run in (day, later)
    )
    assert len(names & later_names) > 30


def test_webhooks_come_in_order_of_time_and_every_message_id_once(day: list[Emission]) -> None:
    assert [e.due_s for e in day] == sorted(e.due_s for e in day)
    ids = [e.message for e in _messages(day)]
    assert len(set(ids)) == len(ids) > 2000


def test_messages_keep_the_rate_although_some_come_in_bursts(day: list[Emission]) -> None:
    moments = [e.due_s for e in _messages(day)]
    assert 85 <= len(moments) / moments[-1] * 60 <= 95
    gaps = [later - earlier for earlier, later in itertools.pairwise(moments)]
    assert sum(gap < 0.16 for gap in gaps) > len(gaps) * 0.2


def test_somebody_who_looks_on_sees_messages_at_once(day: list[Emission]) -> None:
    assert len([e for e in _messages(day) if e.due_s < 5]) >= 10


def test_every_envelope_has_evolutions_fields(day: list[Emission]) -> None:
    """The token in each body, local time with a false Z, the whole URL as destination."""
    for emission in day:
        body = _body(emission)
        assert body["event"] == emission.event
        assert body["instance"] == emission.instance
        assert body["destination"] == TARGET
        assert len(body["apikey"]) == 24
    assert _body(day[0])["date_time"] == "2026-11-22T08:13:20.000Z"


def test_a_status_follows_its_message_and_only_moves_forward(day: list[Emission]) -> None:
    orders = (
        ["SERVER_ACK", "DELIVERY_ACK", "READ", "PLAYED"],
        ["SENT", "DELIVERED", "READ"],
        ["ERROR", "DELIVERY_ACK"],
        ["FAILED", "DELIVERED"],
    )
    said: dict[object, list[str]] = defaultdict(list)
    known = set()
    for emission in day:
        if emission.status is None:
            known.add(emission.message)
        else:
            assert emission.message in known
            said[emission.message].append(emission.status)
    assert len(said) > 500
    for statuses in said.values():
        assert any(statuses == order[: len(statuses)] for order in orders)


def test_two_conversations_never_mix_in_one_chat(day: list[Emission]) -> None:
    """Within a conversation the order number named by the shop and by the client is one."""
    scenario = _scenario()
    for _ in itertools.islice(scenario.emissions(), 2000):
        chats = [(c.station.instance.name, c.chat) for c in scenario._conversations]
        assert len(set(chats)) == len(chats)


def test_a_baileys_instance_says_its_number_once_it_was_open(day: list[Emission]) -> None:
    bodies = [_body(e) for e in day if e.instance == "loja-centro"]
    assert [b["data"]["state"] for b in bodies[:2]] == ["connecting", "open"]
    assert "sender" not in bodies[0]
    assert all(b["sender"] == "551130000000@s.whatsapp.net" for b in bodies[1:])


def test_there_are_replies_media_groups_and_messages_typed_on_the_phone(
    day: list[Emission],
) -> None:
    datas = [_body(e)["data"] for e in day if e.event == "messages.upsert"]
    kinds = {data["messageType"] for data in datas}
    assert {"conversation", "imageMessage", "audioMessage"} <= kinds
    assert any(
        data["messageType"] == "documentMessage"
        for data in (_body(e)["data"] for e in day if e.event == "send.message")
    )
    assert {"reactionMessage", "locationMessage", "stickerMessage"} <= kinds
    assert any((data.get("contextInfo") or {}).get("stanzaId") for data in datas)
    assert any(data["key"]["remoteJid"].endswith("@g.us") for data in datas)
    assert any(data["key"]["fromMe"] for data in datas)
    texts = [
        data for data in datas if data["messageType"] in ("conversation", "extendedTextMessage")
    ]
    assert len(texts) > len(datas) * 0.6


def test_what_becomes_of_messages_is_told_too(day: list[Emission]) -> None:
    events = {emission.event for emission in day}
    assert {"messages.edited", "messages.delete", "call"} <= events


def test_a_quoted_message_was_said_before_in_the_same_chat(day: list[Emission]) -> None:
    said: dict[str, str] = {}
    quotes = 0
    for emission in _messages(day):
        data = _body(emission)["data"]
        stanza = (data.get("contextInfo") or {}).get("stanzaId")
        if stanza:
            quotes += 1
            assert stanza in said
        assert emission.message
        said[emission.message.id] = emission.instance
    assert quotes > 100


def test_no_text_has_an_unfilled_fact(day: list[Emission]) -> None:
    assert not any(b"{nome}" in e.body or b"{produto}" in e.body for e in day)


def test_a_text_sent_through_the_api_causes_its_webhooks() -> None:
    scenario = _scenario()
    station = next(iter(scenario._stations.values()))
    message = a_message(station.instance, api=True)
    emissions = scenario.webhooks_of(station, message, 7.0, random.Random(1), QUIET)
    assert emissions[0].event == "send.message"
    assert emissions[0].due_s == 7.0
    assert {e.message.id for e in emissions if e.message} == {message.id}
    assert [e.status for e in emissions[1:]] == ["SERVER_ACK", "DELIVERY_ACK", "READ"][
        : len(emissions) - 1
    ]


def test_sends_do_not_disturb_the_scenario() -> None:
    quiet, busy = _scenario(), _scenario()
    station = next(iter(busy._stations.values()))
    message = a_message(station.instance, api=True)
    busy.webhooks_of(station, message, 1.0, random.Random(1), QUIET)
    assert _first(200, quiet) == _first(200, busy)
