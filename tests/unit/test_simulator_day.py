"""A day's webhooks and its truth belong together, and their times leave nothing in doubt."""

import itertools
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evorelay.simulator.day import DAY_MS, START_MS, Day, day, month
from evorelay.simulator.dialects import DIALECTS, KINDS
from evorelay.simulator.diary import Posted

MESSAGE_EVENTS = ("messages.upsert", "send.message")


@pytest.fixture(scope="module")
def made() -> Day:
    return day(7, messages=4000)


def _rows(posted: Posted) -> list[dict[str, Any]]:
    data = msgspec.json.decode(posted.body)["data"]
    return data if isinstance(data, list) else [data]


def _bodies_of_messages(made: Day) -> dict[tuple[str, str], list[dict[str, Any]]]:
    found = defaultdict(list)
    for posted in made.webhooks:
        if posted.event in (*MESSAGE_EVENTS, "messages.set"):
            for row in _rows(posted):
                found[posted.instance, row["key"]["id"]].append(row)
    return found


@given(seed=st.integers(0, 1000), messages=st.integers(0, 120))
@settings(max_examples=10, deadline=None)
def test_the_same_seed_gives_the_same_day(seed: int, messages: int) -> None:
    assert day(seed, instances=3, messages=messages) == day(seed, instances=3, messages=messages)


def test_another_seed_gives_another_day() -> None:
    assert day(1, messages=50).truth.messages != day(2, messages=50).truth.messages


def test_webhooks_are_in_order_and_within_the_day(made: Day) -> None:
    moments = [posted.at_ms for posted in made.webhooks]
    assert moments == sorted(moments)
    assert START_MS <= moments[0] <= moments[-1] < START_MS + DAY_MS


def test_every_message_of_the_truth_came_and_nothing_else_did(made: Day) -> None:
    """What carries an id and is no message is on the list of what never becomes one."""
    truth = made.truth
    calls = {key for key, message in truth.messages.items() if message.kind == "call"}
    came = set(_bodies_of_messages(made))
    assert set(truth.messages) - calls <= came
    assert came - set(truth.messages) <= truth.never
    assert not truth.never & set(truth.messages)
    assert calls == set(truth.calls)


def test_every_dialect_and_every_kind_takes_part(made: Day) -> None:
    spoken = {posted.instance for posted in made.webhooks}
    assert len(spoken) == len(DIALECTS)
    kinds = {message.kind for message in made.truth.messages.values()}
    assert kinds == {*KINDS, "call"}


def test_plain_text_is_the_majority(made: Day) -> None:
    texts = [message for message in made.truth.messages.values() if message.kind == "text"]
    assert len(texts) > len(made.truth.messages) / 2


def test_the_words_of_the_truth_stand_in_the_body(made: Day) -> None:
    """After an edit the new ones stand in another body."""
    bodies = _bodies_of_messages(made)
    for key, message in made.truth.messages.items():
        words = message.text or message.within or message.transcription
        if words and not message.edited:
            assert any(words in text for row in bodies[key] for text in _strings(row)), message


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for one in inner for text in _strings(one)]


def test_messages_of_one_chat_are_seconds_apart(made: Day) -> None:
    chats = defaultdict(list)
    for message in made.truth.messages.values():
        if not message.is_history and message.kind != "call":
            chats[message.instance, message.person or message.chat].append(message.sent_s)
    for moments in chats.values():
        ordered = sorted(moments)
        assert all(late - early >= 3 for early, late in itertools.pairwise(ordered))


def test_changes_of_one_message_are_seconds_apart(made: Day) -> None:
    changes = defaultdict(list)
    for posted in made.webhooks:
        for row in _rows(posted):
            if posted.event in MESSAGE_EVENTS and "reactionMessage" in row["message"]:
                inner = row["message"]["reactionMessage"]
                changes[posted.instance, inner["key"]["id"]].append(posted.at_ms)
            elif posted.event == "messages.edited" and row["type"] == "MESSAGE_EDIT":
                changes[posted.instance, row["key"]["id"]].append(int(row["timestampMs"]))
    assert len(changes) > 100
    for moments in changes.values():
        ordered = sorted(moments)
        assert all(late - early > 1500 for early, late in itertools.pairwise(ordered))


def test_all_that_can_happen_to_a_message_happens(made: Day) -> None:
    messages = list(made.truth.messages.values())
    statuses = {message.status for message in messages if message.from_me}
    assert {"pending", "failed", "sent", "delivered", "read", "played"} <= statuses
    assert any(message.edited for message in messages)
    assert any(message.deleted for message in messages)
    assert any(message.reactions for message in messages)
    assert any(message.votes for message in messages)
    assert any(message.quotes for message in messages)
    assert any(message.is_history for message in messages)
    assert {message.origin for message in messages if message.from_me} == {"phone", "api"}


def test_people_are_known_by_phone_by_privacy_id_by_both_and_by_two_that_nothing_links(
    made: Day,
) -> None:
    people = made.truth.persons
    assert any(person.is_linked for person in people)
    assert any(len(person.identities) == 2 for person in people)
    assert any(person.identities == (frozenset((person.lid,)),) for person in people)
    assert any(person.identities == (frozenset((person.phone,)),) for person in people)


def test_an_identity_is_a_set_of_aliases_of_one_person(made: Day) -> None:
    truth = made.truth
    for person in truth.persons:
        assert set().union(*person.identities) <= {person.phone, person.lid}
        for identity in person.identities:
            assert all(truth.identity(person.instance, alias) == identity for alias in identity)
    for message in truth.messages.values():
        assert message.chat.startswith("group:") or message.person is not None
        assert message.chat in truth.identity(message.instance, message.chat)
        assert message.chat.startswith(("phone:", "lid:", "group:"))


def test_phone_and_privacy_id_are_one_when_some_webhook_shows_both_and_only_then(made: Day) -> None:
    together = {
        (posted.instance, *sorted(aliases))
        for posted in made.webhooks
        for shown in _objects(msgspec.json.decode(posted.body)["data"])
        if len(aliases := {alias for jid in shown.values() if (alias := _alias(jid))}) == 2
    }
    people = {(p.instance, p.lid, p.phone): p.is_linked for p in made.truth.persons}
    assert together & set(people) == {pair for pair, is_linked in people.items() if is_linked}
    # The others are the trap of what we typed ourselves: our own id beside the customer's.
    assert all(
        lid.startswith("lid:9000000000") != phone.startswith("phone:55113000")
        for _, lid, phone in together - set(people)
    )


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for one in inner:
        yield from _objects(one)


def _alias(jid: object) -> str | None:
    """As the truth spells it, read from the bodies alone."""
    user, _, domain = str(jid).partition("@")
    digits = user.partition(":")[0]
    if domain == "lid":
        return f"lid:{jid}"
    if domain != "s.whatsapp.net":
        return None
    return "phone:" + (digits[:4] + digits[5:] if len(digits) == 13 else digits)


@pytest.mark.parametrize("dialect", ["1.8.2 baileys", "2.2.3 baileys", "2.3.6 business"])
def test_some_versions_never_tell_that_two_names_are_one(dialect: str) -> None:
    assert not any(p.is_linked for p in day(1, instances=1, dialects=(dialect,)).truth.persons)


def test_history_of_people_who_say_nothing_need_not_be_stored(made: Day) -> None:
    few = day(1, instances=6, messages=12).truth
    assert set(few.expected()) < set(few.messages)
    left_out = set(few.messages) - set(few.expected())
    assert all(few.messages[key].is_history for key in left_out)
    assert len(made.truth.expected()) > 4000


def test_the_cloud_api_of_2_3_6_names_wrong_chats_and_only_the_id_is_right() -> None:
    """Measured: up to a fifth of what comes in quick succession."""
    made = day(1, instances=1, messages=300, dialects=("2.3.6 business",))
    wrong = 0
    for key, rows in _bodies_of_messages(made).items():
        message = made.truth.messages.get(key)
        if message is not None:
            wrong += message.chat != _alias(rows[0]["key"]["remoteJid"])
    assert 10 < wrong < 60


def test_instances_are_unlinked_now_and_then_and_paired_again_with_a_code() -> None:
    whole = month(2, instances=3, messages_per_day=6, days=12, dialects=("2.3.6 baileys",))
    told = [(one.instance, one.event) for one in whole.webhooks()]
    for instance, state in whole.truth().connections.items():
        logouts = told.count((instance, "logout.instance"))
        pairings = told.count((instance, "qrcode.updated")) // 3
        assert pairings == logouts + (state == "open")
    assert any(event == "logout.instance" for _, event in told)


def test_a_month_goes_on_day_after_day_with_the_same_people() -> None:
    whole = month(3, instances=2, messages_per_day=40, days=4)
    posted = list(whole.webhooks())
    moments = [one.at_ms for one in posted]
    assert moments == sorted(moments)
    assert {(moment - START_MS) // DAY_MS for moment in moments} == {0, 1, 2, 3}
    truth = whole.truth()
    assert 150 <= len(truth.messages) <= 220
    assert len({(person.instance, person.phone) for person in truth.persons}) == len(truth.persons)


def test_a_month_links_what_a_part_of_it_does_not() -> None:
    """People are met under one name first; the webhook that shows both comes later."""
    few = month(5, instances=6, messages_per_day=120, days=12)
    seen = few.webhooks()
    while next(seen).at_ms < START_MS + 2 * DAY_MS:
        pass
    early = few.truth().identities
    for _ in seen:
        pass
    late = few.truth().identities
    grown = [alias for alias, identity in early.items() if len(late[alias]) > len(identity)]
    assert grown
    assert all(early[alias] <= late[alias] for alias in early)
