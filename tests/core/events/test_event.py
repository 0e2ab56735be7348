"""What decoding hands over: limits of time, and lists that grow by those decoded later."""

import pytest

from sidecar.core.events.event import (
    EARLIEST,
    FIELDS,
    MAX_AHEAD_SECONDS,
    NOTHING_SHARED,
    REQUIRED,
    Decoded,
    Event,
    Rejection,
    Shared,
    latest,
)

NOW = 1_790_000_000.0


def rejection(payload: bytes) -> Rejection:
    return Rejection("not_json", "no JSON", payload, NOW)


def decoded(*payloads: Event | bytes) -> Decoded:
    made = Decoded([], [], [])
    for payload in payloads:
        if isinstance(payload, bytes):
            made.reject(rejection(payload))
        else:
            made.events.append(payload)
            made.arrivals.append(NOW)
    return made


def test_an_event_may_be_a_day_ahead_of_its_arrival() -> None:
    assert latest(NOW) == NOW + MAX_AHEAD_SECONDS


def test_a_clock_that_is_not_set_limits_nothing() -> None:
    assert latest(EARLIEST - 1) == float("inf")


def test_a_rejection_knows_how_many_events_came_before_it() -> None:
    one = Event(status="success")
    assert decoded(b"x", one, one, b"y").events_before == [0, 2]


def test_what_is_decoded_later_is_appended_in_order() -> None:
    one, other = Event(status="success"), Event(status="failed", status_word="declined")
    first, later = decoded(one, b"x"), decoded(other, b"y")
    later.shared.priced = True
    later.worded, later.adjusted = True, {id(other): ("reason_cut",)}
    first.extend(later)
    assert first.events == [one, other]
    assert first.arrivals == [NOW, NOW]
    assert [(place, found.payload) for place, found in zip(first.events_before, first.rejections, strict=True)] == [
        (1, b"x"),
        (2, b"y"),
    ]
    assert first.worded and first.shared.priced
    assert first.adjusted == later.adjusted


def test_what_all_events_share_is_what_both_lists_share() -> None:
    shared = Shared(first=5.0, last=6.0)
    shared.merge(Shared(priced=True, first=4.0, last=5.0))
    assert shared == Shared(priced=True, first=4.0, last=6.0)
    shared.merge(NOTHING_SHARED)
    assert (shared.only_orders, shared.priced, shared.dated) == (False, True, False)


@pytest.mark.parametrize("kind", REQUIRED)
def test_every_required_field_is_one_of_its_type(kind: str) -> None:
    assert set(REQUIRED[kind]) <= set(FIELDS[kind])


@pytest.mark.parametrize("kind", sorted(FIELDS.keys() - {"sale"}))
def test_every_field_of_a_type_is_one_of_the_event(kind: str) -> None:
    assert set(FIELDS[kind]) <= set(Event.__struct_fields__)
