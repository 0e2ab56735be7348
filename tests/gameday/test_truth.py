"""The sidecar's numbers are compared with what was published, each of them."""

from decimal import Decimal
from typing import Any

import pytest

from tests.gameday.truth import Truth, differences

SOLD = {"status": "success", "product_id": "a", "quantity": 2, "amount": "10.10"}
EVENTS = (
    {"status": "pending", "product_id": "a"},
    SOLD,
    {"status": "failed", "reason": "sold_out"},
    {"status": "failed", "reason": "sold_out"},
    {"status": "failed"},
    {"status": "cancelled"},
    {"type": "queue", "queue": "orders", "waiting": 1},
    {"type": "heartbeat", "seq": 3},
)


def truth(lost: int = 0) -> Truth:
    """Count the events, and some that got lost."""
    counted = Truth()
    for event in EVENTS:
        counted.add(event)
    for _ in range(lost):
        counted.lose()
    return counted


def document(**changes: Any) -> dict[str, Any]:
    """Return what a sidecar shows of them."""
    orders: dict[str, Any] = {
        "by_status": {"success": 1, "failed": 3, "pending": 1, "cancelled": 1},
        "failed_by_reason": {"sold_out": 2, "unknown": 1},
        "by_product": {"a": {"units": 2}, "b": {"units": 0}},
        "revenue": {"EUR": "10.10"},
    }
    complete = {"received": 7, "missed": 0}
    return {
        "orders": orders | {name: value for name, value in changes.items() if name in orders},
        "completeness": complete | {name: value for name, value in changes.items() if name in complete},
    }


def test_what_is_equal_is_no_difference() -> None:
    assert differences(truth(), document()) == []
    assert differences(truth(lost=2), document(missed=2)) == []
    assert differences(Truth(), document(received=0, **NOTHING)) == []


NOTHING: dict[str, Any] = {
    "by_status": {"success": 0, "failed": 0, "pending": 0, "cancelled": 0},
    "failed_by_reason": {},
    "by_product": {},
    "revenue": {},
}


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"received": 6}, "received"),
        ({"missed": 1}, "missed"),
        ({"by_status": {"success": 2, "failed": 3, "pending": 1, "cancelled": 1}}, "success"),
        ({"failed_by_reason": {"sold_out": 3}}, "reasons"),
        ({"by_product": {"a": {"units": 1}}}, "units"),
        ({"by_product": {"a": {"units": 2}, "c": {"units": 1}}}, "units"),
        ({"revenue": {"EUR": "10.1001"}}, "revenue"),
    ],
)
def test_each_difference_is_named(changes: dict[str, Any], name: str) -> None:
    found = differences(truth(), document(**changes))
    assert [line.split()[0] for line in found] == [name]


def test_where_the_transport_loses_the_sum_holds() -> None:
    assert differences(truth(), document(received=4, missed=3), transport_loses=True) == []
    assert differences(truth(lost=1), document(received=4, missed=3), transport_loses=True) == [
        "received + missed 7, published 8"
    ]


def test_copies_count_each() -> None:
    counted = Truth()
    counted.add(SOLD, 2)
    assert (counted.events, counted.units["a"], counted.revenue) == (2, 4, Decimal("20.20"))
