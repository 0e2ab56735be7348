"""The numbers of a payload that is rejected whole are found in its bytes, unless they may be cut."""

import json

import pytest

from sidecar.core.events import hidden_numbers
from sidecar.core.events.event import Number
from sidecar.core.events.hidden_numbers import numbers_in

TWO = json.dumps({"status": "paid", "producer": "A", "epoch": 1, "seq": 2})
THREE = TWO.replace("2", "3")


@pytest.mark.parametrize(
    ("payload", "seqs"),
    [
        (TWO.replace("}", ',"latency_ms":NaN}'), [2]),
        (f"[{TWO},{THREE}", [2, 3]),
        (f"[{TWO},{THREE[:-1]}", [2]),  # the last number may be longer
        (f"{TWO}\n{THREE}\n", [2, 3]),
        (json.dumps(TWO), [2]),
        (json.dumps(json.loads(TWO) | {"note": json.dumps({"seq": 9})}), [2]),
        (TWO.replace("seq", "Seq").replace("producer", "Producer"), [2]),
        ('{"seq":2,"producer":"A","epoch":1},{"producer":"A","epoch":1,"seq":"3"}', [2, 3]),
        ('{"seq":2.0,"producer":"A","epoch":1}', [2]),
    ],
)
def test_numbers_are_found(payload: str, seqs: list[int]) -> None:
    assert numbers_in(payload.encode()) == tuple(Number("A", 1, seq) for seq in seqs)


def test_a_producer_may_be_a_number_and_an_epoch_may_be_absent_or_wrong() -> None:
    assert numbers_in(b'{"producer":7,"seq":2}') == (Number("7", None, 2),)
    assert numbers_in(b'{"producer":"A","epoch":-1,"seq":2}') == (Number("A", None, 2),)


@pytest.mark.parametrize("payload", [b"", b"hello", b'{"status":"succ', b"\x1f\x8b\x08", b"{"])
def test_a_payload_without_a_sequence_field_was_not_numbered(payload: bytes) -> None:
    assert numbers_in(payload) == ()


@pytest.mark.parametrize(
    "payload",
    [
        *(b'{"producer":"A"}', b'{"seq":2}', b'{"producer":"\xff","seq":2}', b'{"producer":"A","seq":0}'),
        *(b'{"producer":"A","seq":2', b'{"producer":"A","se', b"\x82\xa8producer\xa1A\xa3seq\x02", b'{"Epoch":'),
    ],
)
def test_a_payload_with_a_sequence_field_may_have_had_an_unreadable_number(payload: bytes) -> None:
    assert numbers_in(payload) is None


def test_no_more_numbers_are_read_than_a_batch_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hidden_numbers, "MAX_BATCH_EVENTS", 2)
    assert numbers_in(f"[{TWO},{THREE},{TWO}".encode()) == (Number("A", 1, 2), Number("A", 1, 3))
