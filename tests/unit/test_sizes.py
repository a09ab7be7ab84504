import pytest

from evorelay.model.sizes import readable_bytes, readable_span


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1 KiB"),
        (256 << 20, "256 MiB"),
        ((1 << 30) - 1, "1 GiB"),
        (77_437_337_600, "72.1 GiB"),
        (1 << 55, "32768 TiB"),
    ],
)
def test_sizes_read_well(count: int, shown: str) -> None:
    assert readable_bytes(count) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 s"),
        (119, "119 s"),
        (120, "2 min"),
        (5400, "90 min"),
        (7200, "2 h"),
        (172_799, "47 h"),
        (172_800, "2 days"),
    ],
)
def test_spans_are_for_people(seconds: float, shown: str) -> None:
    assert readable_span(seconds) == shown
