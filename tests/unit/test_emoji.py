"""What can be a reaction."""

import pytest

from evorelay.protocol.emoji import is_one_emoji


@pytest.mark.parametrize(
    "text", ["👍", "👍🏽", "❤", "❤️", "👨‍👩‍👧‍👦", "🇧🇷", "1️⃣", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "☺️", "🤷‍♀️", "©️"]
)
def test_one_emoji_however_it_is_made(text: str) -> None:
    assert is_one_emoji(text)


@pytest.mark.parametrize("text", ["", "👍👍", "ok", "1", "a👍", "👍 ", "🇧🇷🇵🇹", "👍" * 40, "!"])
def test_what_is_none_or_more_than_one(text: str) -> None:
    assert not is_one_emoji(text)
