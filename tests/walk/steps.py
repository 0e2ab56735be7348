"""What can happen on a walk, as plain data: hypothesis draws it, shrinks it, and prints it."""

import json
from typing import Any, Literal, NamedTuple

from hypothesis import strategies as st

Event = dict[str, Any] | str  # a text is a payload that is no JSON
Transport = Literal["pubsub", "stream"]


class Rest(NamedTuple):
    """Nothing happens: what a step shrinks to."""


class Publish(NamedTuple):
    """A backend publishes: each event by itself, or all as one array. `ts` of an event is relative to now."""

    transport: Transport
    events: list[Event]
    array: bool = False


class Wait(NamedTuple):
    """Time passes, and the sidecar commits meanwhile."""

    seconds: float


class Fail(NamedTuple):
    """A commit fails: Redis never got it, or its answer is lost."""

    how: Literal["away", "answer lost"]


class Restart(NamedTuple):
    """The sidecar ends, in order or killed, and starts again after a while."""

    how: Literal["stopped", "killed", "taken over"]
    after: float


class Clear(NamedTuple):
    """Somebody clears the metrics."""


class Trim(NamedTuple):
    """The stream keeps so many of its newest entries."""

    keep: int


class Flush(NamedTuple):
    """Redis loses everything it holds."""


class SetClock(NamedTuple):
    """The clock of the machine is set by so many seconds."""

    by: float


class Freeze(NamedTuple):
    """The second sidecar of a fleet hangs for so many seconds."""

    seconds: float


Alone = Rest | Publish | Wait | Fail | Restart | Clear | Trim | Flush | SetClock


class Other(NamedTuple):
    """The step is taken by the second sidecar of a fleet."""

    step: Alone


Step = Alone | Freeze | Other
Walk = list[Step]

_PRODUCTS = st.sampled_from(["p1", "p2", "p3"])
_STATUSES = st.sampled_from(
    ["success", "failed", "pending", "cancelled", "paid", "Declined", "created", "queued", "completed", "refunded"]
)
_AMOUNTS = st.sampled_from(["10", "0.01", 3, "19.999999"])
_MILLISECONDS = st.sampled_from([1, 2.5, 40, 700, 2000])
_COUNTS = st.integers(0, 9)
_PAST = st.sampled_from([-1.0, -3.5, -7.0, -30.0, 1.0, 5.0])

_NUMBERED = st.fixed_dictionaries(
    {"producer": st.sampled_from(["A", "B"]), "epoch": st.sampled_from(["e1", "e2", "e3"]), "seq": st.integers(1, 9)}
)
_WITHOUT_EPOCH = st.fixed_dictionaries({"producer": st.just("C"), "seq": st.integers(1, 9)})
_NUMBERS: st.SearchStrategy[dict[str, Any]] = st.one_of(st.just({}), _NUMBERED, _NUMBERED, _WITHOUT_EPOCH)


def _orders(*, timed: bool) -> st.SearchStrategy[dict[str, Any]]:
    optional: dict[str, Any] = {
        "order_id": st.sampled_from(["o1", "o2", "o3"]),
        "product_id": _PRODUCTS,
        "quantity": st.integers(1, 3),
        "reason": st.sampled_from(["sold_out", "boom"]),
        "amount": _AMOUNTS,
        "currency": st.sampled_from(["EUR", "usd"]),
        "latency_ms": _MILLISECONDS,
        "processing_ms": _MILLISECONDS,
    }
    return st.fixed_dictionaries({"status": _STATUSES}, optional=optional | ({"ts": _PAST} if timed else {}))


def _others(*, timed: bool) -> st.SearchStrategy[Event]:
    when = {"ts": _PAST} if timed else {}
    inventory = st.fixed_dictionaries(
        {"type": st.just("inventory"), "product_id": _PRODUCTS, "stock": st.integers(-2, 9)}, optional=when
    )
    queue = st.fixed_dictionaries(
        {"type": st.just("queue"), "waiting": _COUNTS}, optional={"queue": st.just("mail"), "active": _COUNTS}
    )
    workers = st.fixed_dictionaries({"type": st.just("queue"), "active": _COUNTS})
    connections = st.fixed_dictionaries({"type": st.just("connections"), "active": _COUNTS})
    bad: list[dict[str, Any]] = [
        {"status": "nope"},
        {"type": "order"},
        {"type": "inventory", "product_id": "p1"},
        {"type": "inventory", "product_id": "p1", "stock": "many"},
        {"type": "connections", "active": -1},
    ]
    refused = st.sampled_from(bad)
    ignored = st.fixed_dictionaries({"type": st.sampled_from(["payment", "login"])})
    return st.one_of(inventory, queue, workers, connections, refused, ignored)


_HEARTBEATS = st.builds(lambda numbers: {"type": "heartbeat", **numbers}, _NUMBERED)
_CUT = st.builds(lambda numbers: json.dumps({**numbers, "status": "success"})[:-1], _NUMBERED)


def _events(*, timed: bool) -> st.SearchStrategy[Event]:
    body = st.one_of(_orders(timed=timed), _orders(timed=timed), _others(timed=timed))
    numbered = st.builds(lambda event, numbers: {**event, **numbers}, body, _NUMBERS)
    return st.one_of(numbered, numbered, numbered, numbered, _HEARTBEATS, _CUT)


def _publish(*, timed: bool) -> st.SearchStrategy[Alone]:
    transports: st.SearchStrategy[Transport] = st.sampled_from(["pubsub", "stream"])
    events = st.lists(_events(timed=timed), min_size=1, max_size=4)
    whole = events.map(lambda found: [event for event in found if isinstance(event, dict)] or [{"status": "success"}])
    single: st.SearchStrategy[Alone] = st.builds(Publish, transports, events, st.just(False))
    return st.one_of(single, single, st.builds(Publish, transports, whole, st.just(True)))


def _steps(*, timed: bool, trims: bool, clocks: bool, fleet: bool) -> st.SearchStrategy[Step]:
    publish = _publish(timed=timed)
    waits: st.SearchStrategy[Alone] = st.builds(Wait, st.sampled_from([0.5, 1.3, 5.2, 12.4, 61.7]))
    rare: list[st.SearchStrategy[Alone]] = [
        st.builds(Fail, st.sampled_from(["away", "answer lost"])),
        st.builds(
            Restart,
            st.sampled_from(["stopped", "killed", "taken over"]),
            st.sampled_from([0.2, 3.1, 20.3, 70.9, *([101.3] if fleet else [])]),
        ),
        st.just(Clear()),
        st.just(Flush()),
    ]
    if trims:
        rare.append(st.builds(Trim, st.integers(0, 3)))
    if clocks:
        rare.append(st.builds(SetClock, st.sampled_from([-20.0, -600.0, 3.0, 86_400.0])))
    alone = st.one_of(st.just(Rest()), publish, publish, publish, publish, waits, waits, *rare)
    if not fleet:
        return alone
    freeze: st.SearchStrategy[Step] = st.builds(Freeze, st.sampled_from([1.2, 3.7, 20.6]))
    return st.one_of(alone, alone, alone, st.builds(Other, alone), st.builds(Other, alone), freeze)


class Kind(NamedTuple):
    """What may happen on a walk: either events carry times or the clock is set, but not both."""

    timed: bool
    trims: bool = False
    clocks: bool = False
    fleet: bool = False


KINDS = (
    Kind(timed=True),
    Kind(timed=True, trims=True),
    Kind(timed=False, clocks=True),
    Kind(timed=False, trims=True, clocks=True),
    Kind(timed=True, trims=True, fleet=True),
)
SERVED_KINDS = KINDS[:2]  # ids of a real stream only go on


def walks(*, steps: int = 40, kinds: tuple[Kind, ...] = KINDS) -> st.SearchStrategy[Walk]:
    """Return walks of so many steps."""
    return (
        st.sampled_from(kinds)
        .flatmap(lambda kind: st.lists(_steps(**kind._asdict()), min_size=steps, max_size=steps))
        .map(lambda steps: [step for step in steps if step != Rest()])
    )
