"""A batch is split into its elements as they stand; one that is no text costs itself alone."""

import json

import pytest

from sidecar.core.events.decode import decode
from sidecar.core.events.json_array import elements

NOW = 1_790_000_000.0
HALF = rb'"\ud83d"'  # of an emoji, as a text has that was cut within one


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [b"1"],
        [b'{"a":[1,2]}', b"[]", b"null", b"1e5"],
        [HALF],
        [b'{"a":"]"}', b"[" + HALF + b"]", b"1"],
        [b'"\xc3\xa9"', b'"\xff"', HALF],
        [rb'"\\ud83d"', HALF],
    ],
)
@pytest.mark.parametrize(("before", "after"), [(b"", b""), (b" \r\n", b"\t ")])
def test_a_batch_is_split_into_what_it_was_made_of(parts: list[bytes], before: bytes, after: bytes) -> None:
    batch = before + b"[" + (after + b"," + before).join(parts) + b"]" + after
    assert elements(batch) == parts


@pytest.mark.parametrize("tail", [b"", b",", b",]", b" 1]", b"]]", b"] x", b",NaN]", b',"\x01"]', b",01]"])
def test_what_is_no_array_is_none_with_half_a_character_in_it_too(tail: bytes) -> None:
    for first in (b"1", HALF):
        with pytest.raises(ValueError, match=r"JSON|truncated|array|Expecting|Invalid"):
            elements(b"[" + first + tail)


@pytest.mark.parametrize("start", [b"\x0b", b"\x0c", b"x", b"1,"])
def test_what_comes_before_an_array_is_white_space_or_a_fault(start: bytes) -> None:
    for first in (b"1", HALF):
        with pytest.raises(ValueError, match=r"JSON|array"):
            elements(start + b"[" + first + b"]")


def test_half_a_character_costs_its_event_and_not_its_neighbours() -> None:
    order = {"status": "success", "order_id": "1"}
    decoded = decode([json.dumps([order, {**order, "order_id": "\ud83d"}, order]).encode()], [NOW])
    assert len(decoded.events) == 2
    assert [(one.reason, one.payload) for one in decoded.rejections] == [
        ("not_json", rb'{"status": "success", "order_id": "\ud83d"}')
    ]
