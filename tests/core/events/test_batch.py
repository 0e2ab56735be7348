"""How much is counted before the loop turns."""

import pytest

from sidecar.core.events.batch import BYTES_BEFORE_YIELD, COMMA_BYTES, before_yield

SINGLE = b'{"status":"success"}'
EVENTS = 1000
ARRAY = b"[" + b",".join([b"1"] * EVENTS) + b"]"  # costs as COMMA_BYTES * 999 bytes


@pytest.mark.parametrize(
    ("payloads", "count"),
    [
        ([], 0),
        ([SINGLE] * 500, 500),
        ([SINGLE, b" [1]", b"?", SINGLE], 4),
        ([b"{" * (BYTES_BEFORE_YIELD + 1)] * 3, 1),
        ([b"{" * (BYTES_BEFORE_YIELD // 2)] * 3, 2),
        ([ARRAY] * 20, BYTES_BEFORE_YIELD // (COMMA_BYTES * (EVENTS - 1))),
        ([SINGLE] + [b" " + ARRAY] * 20, 1 + BYTES_BEFORE_YIELD // (COMMA_BYTES * (EVENTS - 1))),
        ([b"[" + b" " * BYTES_BEFORE_YIELD + b"]"] * 2, 1),
    ],
)
def test_what_costs_as_much_as_a_turn_is_counted_in_one(payloads: list[bytes], count: int) -> None:
    assert before_yield(payloads) == count
