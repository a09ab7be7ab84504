"""Sizes as people read them."""

_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


def readable_bytes(count: float) -> str:
    """``77_437_337_600`` -> ``"72.1 GiB"``; one decimal, none in front of a round number."""
    for unit in _UNITS:
        # Rounded first: 1023.99 MiB is "1 GiB", not "1024 MiB".
        shown = f"{count:.1f}".removesuffix(".0")
        if float(shown) < 1024 or unit == _UNITS[-1]:
            break
        count /= 1024
    return f"{shown} {unit}"


def readable_span(seconds: float) -> str:
    """``5400.0`` -> ``"90 min"``; whole units, and at least two of them but for seconds."""
    for unit, size in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size:.0f} {unit}"
    return f"{seconds:.0f} s"
