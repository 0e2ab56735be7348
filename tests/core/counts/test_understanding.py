"""What was not understood in a source's last minute is reported with a reason, a type, and a masked example."""

from typing import Any

import pytest

from sidecar.core.counts.rules import OTHER
from sidecar.core.counts.understanding import MAX_NAMES, MAX_SOURCES, NotUnderstood, Understanding, masked
from sidecar.core.events.event import Rejection
from tests.core.counted import NOW, PUBSUB, STREAM, aggregator, batch, order

BAD = {"status": "shipped", "email": "jane@example.com"}


def told(*events: Any, at: float = NOW, after: float = 0.0) -> dict[str, NotUnderstood]:
    """Return what is reported about events that came together, some time later."""
    aggregate = aggregator()
    aggregate.apply(batch(*events), at)
    return aggregate.understanding.last_minute(at + after)


def test_understood_events_are_not_reported() -> None:
    assert told(order(), {"type": "queue", "waiting": 1}) == {}
    assert Understanding().last_minute(NOW) == {}


def test_the_share_and_the_most_frequent_reason_and_type_are_reported() -> None:
    [one] = told(order(), BAD, BAD, {}, {"type": "page_view", "user": 7}, {"type": "cart"}, {"type": "cart"}).values()
    assert (one.share, one.received, one.refused, one.ignored) == (6 / 7, 7, 3, 3)
    assert (one.reason, one.type) == ("unknown_status", "cart")
    assert one.detail == "status: expected one of success, failed, pending, cancelled"
    assert one.example == '{"status": "shipped", "email": "…"}'
    assert one.described() == (
        "6 of 7 events of the last minute are not understood, most rejected as unknown_status (status: expected one of "
        'success, failed, pending, cancelled), such as {"status": "shipped", "email": "…"}; '
        "`sidecar rejected` shows them"
    )


def test_ignored_types_are_reported_with_an_example() -> None:
    [one] = told(
        order(), {"type": "page_view", "user": 7}, {"service": "db", "status": "ok"}, {"type": "page_view"}
    ).values()
    assert (one.reason, one.type, one.detail) == (None, "page_view", "")
    assert one.described() == (
        '3 of 4 events of the last minute are not understood, most ignored as type page_view, such as {"type": '
        '"page_view", "user": 0}; give orders the type order, or send these events elsewhere'
    )


def test_a_clear_forgets_what_was_not_understood_and_what_was_odd() -> None:
    """Whoever fixed the backend and cleared sees at once whether it is right now."""
    aggregate = aggregator()
    aggregate.apply(batch(BAD, {**order(), "amount": 1990, "suprise": 1}), NOW)
    aggregate.unknown_fields.add("suprise")
    aggregate.clear(NOW + 1)
    assert aggregate.understanding.last_minute(NOW + 1) == {}
    assert (aggregate.unknown_fields, aggregate.amounts) == (set(), {})


def test_only_the_last_minute_counts_whatever_the_clock_does() -> None:
    assert told(BAD, after=59.5)
    assert not told(BAD, after=60.5)
    assert not told(BAD, after=-600)
    aggregate = aggregator()
    aggregate.apply(batch(BAD), NOW)
    aggregate.apply(batch(order()), NOW + 30)
    assert aggregate.understanding.last_minute(NOW + 30)[PUBSUB].share == 0.5
    assert aggregate.understanding.last_minute(NOW + 70) == {}


def test_sources_are_reported_separately() -> None:
    aggregate = aggregator()
    aggregate.apply(batch(BAD), NOW)
    aggregate.apply(batch(order(), source=STREAM, empty=1), NOW)
    found = aggregate.understanding.last_minute(NOW)
    assert {name: (one.share, one.reason) for name, one in found.items()} == {
        PUBSUB: (1.0, "unknown_status"),
        STREAM: (0.5, "missing_field"),
    }


def test_payloads_other_than_json_are_described_by_what_they_look_like() -> None:
    [one] = told(b"\x81\xa6status\xa7success").values()
    assert one.example == ""
    assert "most rejected as not_json (payload: it looks like MessagePack; publish JSON); `sidecar" in one.described()
    aggregate = aggregator()
    aggregate.understanding.rejected(PUBSUB, NOW, Rejection("too_large", "", b"", NOW))
    assert "most rejected as too_large; " in aggregate.understanding.last_minute(NOW)[PUBSUB].described()


def test_names_and_sources_are_bounded() -> None:
    understanding = Understanding()
    for n in range(MAX_SOURCES + 1):
        understanding.saw(f"pubsub:{n}", NOW, 1)
        understanding.ignored(f"pubsub:{n}", NOW, {f"t{m}": 1 for m in range(MAX_NAMES + 5)}, ())
        understanding.rejected(f"pubsub:{n}", NOW, Rejection("not_json", "", b"", NOW))
    found = understanding.last_minute(NOW)
    assert len(found) == MAX_SOURCES
    assert (found["pubsub:0"].ignored, found["pubsub:0"].type) == (MAX_NAMES + 5, OTHER)


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (
            b'{"type":"page_view","user":"Jane","age":41,"vip":true,"x":null}',
            '{"type":"page_view","user":"…","age":0,"vip":true,"x":null}',
        ),
        (b' [{"Status":"paid","to":["a@b.c",-1.5e3]}', '[{"Status":"paid","to":["…",0]}'),
        (b'{"status":"paid","phone":"+49 171', '{"status":"paid","phone":"…"'),
        (b'{"status":"pai', '{"status":"…"'),
        (b"{'name': 'Jane'}", "{'…': '…'}"),
        (b'{"latency_ms":NaN,"a":Infinity}', '{"latency_ms":NaN,"a":…}'),
        (b'{"type":"' + b"x" * 100 + b'"}', '{"type":"' + "x" * 40 + '"}'),
        (b'{"a":"' + b'","a":"' * 100, '{"a":"…"' + ',"a":"…"' * 19),
        (b"jane@example.com", ""),
        (b"", ""),
    ],
)
def test_an_example_shows_names_and_no_values(payload: bytes, expected: str) -> None:
    assert masked(payload) == expected
