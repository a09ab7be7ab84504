"""The past in equal steps: bounded, with holes where nothing was put."""

from evorelay.relay.series import Series


def test_a_stretch_has_holes_where_nothing_was_put() -> None:
    series: Series[str] = Series(step_s=10, kept=100)
    series.put(5, "e")
    series.put(8, "h")
    assert series.stretch(4, 6) == [None, "e", None, None, "h", None]


def test_only_the_newest_are_kept() -> None:
    """P5: memory is bounded."""
    series: Series[int] = Series(step_s=10, kept=3)
    for number in range(10):
        series.put(number, number)
    assert series.stretch(0, 10) == [None] * 7 + [7, 8, 9]


def test_the_latest_word_about_a_step_counts_also_when_the_clock_was_set_back() -> None:
    series: Series[str] = Series(step_s=10, kept=10)
    for number in range(1, 6):
        series.put(number, "before")
    series.put(3, "after")
    series.put(4, "after")
    assert series.stretch(1, 5) == ["before", "before", "after", "after", None]


def test_a_step_begins_at_a_multiple_of_its_length() -> None:
    series: Series[str] = Series(step_s=10, kept=1)
    assert [series.number(ms) for ms in (0, 9_999, 10_000, 1_795_000_000_000)] == [
        *(0, 0, 1),
        179_500_000,
    ]
