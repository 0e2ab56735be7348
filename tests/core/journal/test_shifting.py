"""Recorded payloads as they are published again."""

import msgspec
import pytest

from sidecar.core.events.batch import Batch
from sidecar.core.journal.shifting import Shift, destinations
from tests.ledgers import heard, read


@pytest.fixture
def shift() -> Shift:
    return Shift(began=1_790_000_000.0, now=1_800_000_000.0, speed=2.0)


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({"ts": 1_790_000_010.5, "amount": 1}, {"ts": 1_800_000_005.25, "amount": 1}),
        ({"Ts": 1_790_000_010_000}, {"Ts": 1_800_000_005.0}),
        ({"ts": "2026-09-21T14:13:30Z"}, {"ts": 1_800_000_005.0}),
        ({"ts": "soon", "x": {"ts": 1}}, {"ts": "soon", "x": {"ts": 1}}),
        (
            {"specversion": "1.0", "time": "2026-09-21T14:13:30Z", "data": {"seq": 3}},
            {"specversion": "1.0", "time": 1_800_000_005.0, "data": {"seq": 3, "epoch": 1_800_000_000_000}},
        ),
        ([{"ts": 1_790_000_000}, 5], [{"ts": 1_800_000_000.0}, 5]),
        (5, 5),
    ],
)
def test_times_move_and_the_rest_stays(shift: Shift, payload: object, expected: object) -> None:
    assert msgspec.json.decode(shift.payload(msgspec.json.encode(payload))) == expected


@pytest.mark.parametrize("payload", [b"{", b"\xff", b"[" * 2000, b'{"amount":12.30}'])
def test_what_is_no_json_and_every_digit_stays(shift: Shift, payload: bytes) -> None:
    assert shift.payload(payload) == payload


def test_each_epoch_of_a_producer_becomes_a_new_one_in_order(shift: Shift) -> None:
    def epoch(**event: object) -> int:
        return int(msgspec.json.decode(shift.payload(msgspec.json.encode(event)))["epoch"])

    first, second = epoch(producer="a", epoch=7, seq=1), epoch(producer="a", epoch="8", seq=1)
    assert first == 1_800_000_000_000 < second < epoch(producer="b", seq=1)
    assert epoch(producer="a", epoch=7, seq=2) == first


def test_payloads_go_where_they_came_from() -> None:
    pattern = Batch(source="pubsub:c*", payloads=[b"1", b"2", b"3"], arrivals=[1.0] * 3, channels=[b"c1", b"c1", b"c2"])
    found = [one for batch in (heard(b"x"), read(b"y"), pattern) for one in destinations(batch)]
    assert found == [
        ("pubsub", "c", [b"x"]),
        ("stream", "s", [b"y"]),
        ("pubsub", "c1", [b"1", b"2"]),
        ("pubsub", "c2", [b"3"]),
    ]
