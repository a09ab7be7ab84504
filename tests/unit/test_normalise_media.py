"""The waveform of a voice note, in both forms Evolution gives bytes."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evorelay.protocol.normalise.media import waveform_of

PAYLOADS = Path(__file__).parents[3] / "shared" / "payloads"


def in_base64(values: list[int]) -> str:
    return base64.b64encode(bytes(values)).decode()


def as_object(values: list[int]) -> dict[str, int]:
    return {str(index): value for index, value in enumerate(values)}


@given(st.lists(st.integers(0, 100), min_size=1, max_size=64))
def test_both_forms_say_the_same(values: list[int]) -> None:
    expected = values if any(values) else None
    assert waveform_of(in_base64(values)) == waveform_of(as_object(values)) == expected


@given(st.binary(min_size=1, max_size=500))
def test_any_bytes_fit(data: bytes) -> None:
    found = waveform_of(base64.b64encode(data).decode())
    assert found is None or (0 < len(found) <= 64 and 0 < max(found) <= 100)


def test_what_is_louder_than_the_loudest_is_scaled() -> None:
    assert waveform_of(in_base64([0, 100, 200])) == [0, 50, 100]


def test_what_is_longer_is_thinned_out() -> None:
    assert waveform_of(in_base64([n // 2 for n in range(128)])) == list(range(64))


@pytest.mark.parametrize("value", [None, "", "A", {}, {"0": 300}, {"1": 1}, [1, 2], 7, True, "ção"])
def test_anything_else_is_none(value: Any) -> None:
    assert waveform_of(value) is None


def test_real_voice_notes_have_one() -> None:
    for path in sorted(PAYLOADS.glob("v2.3/*audioMessage-ptt*.json")):
        body = json.loads(path.read_text("utf-8"))
        body = body.get("body", body)
        assert '"waveform"' in json.dumps(body)
        audio = _find(body, "audioMessage")
        found = waveform_of(audio["waveform"])
        assert found is not None
        assert max(found) <= 100


def _find(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        if name in value:
            return value[name]
        found = (_find(item, name) for item in value.values())
        return next((item for item in found if item is not None), None)
    return None
