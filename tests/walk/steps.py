"""What can happen on a walk, as plain data: hypothesis draws it, shrinks it, and prints it."""

import json
from typing import Any, Literal, NamedTuple

from hypothesis import strategies as st

from tests.walk.custom import DEFINED

Event = dict[str, Any] | str  # a text is a payload that is no JSON
REFUSALS = ("sold_out", "limit_reached", "duplicate", "payment_declined")
BUCKETS_MS = (1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000)
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
    """Somebody clears the metrics; `settled`: nothing waits for a commit, and the sidecar hears of it at once."""

    settled: bool = False


class ClearMetric(NamedTuple):
    """Somebody clears one custom metric."""

    name: str
    settled: bool = False


class Trim(NamedTuple):
    """The stream keeps so many of its newest entries."""

    keep: int


class Flush(NamedTuple):
    """Redis loses everything it holds."""


class SetClock(NamedTuple):
    """The clock of the machine is set by so many seconds."""

    by: float


class Settings(NamedTuple):
    """What a reload changes, and a restart."""

    refusals: tuple[str, ...] = REFUSALS
    currency: str = "XXX"
    count_repeats: bool = False
    buckets_ms: tuple[float, ...] = BUCKETS_MS


DEFAULTS = Settings()


class Reload(NamedTuple):
    """The configuration is loaded again."""

    settings: Settings


class Buckets(NamedTuple):
    """The sidecar is stopped, and started with these buckets."""

    bounds_ms: tuple[float, ...]


class Lag(NamedTuple):
    """The replica of Redis gets nothing more, until the sidecar restarts or somebody clears."""


class Failover(NamedTuple):
    """The replica becomes Redis."""


class Freeze(NamedTuple):
    """The second sidecar of a fleet hangs for so many seconds."""

    seconds: float


Alone = (
    Rest
    | Publish
    | Wait
    | Fail
    | Restart
    | Clear
    | ClearMetric
    | Trim
    | Flush
    | SetClock
    | Reload
    | Buckets
    | Lag
    | Failover
)


class Other(NamedTuple):
    """The step is taken by the second sidecar of a fleet."""

    step: Alone


Step = Alone | Freeze | Other
Walk = list[Step]


class Kind(NamedTuple):
    """What may happen on a walk: either events carry times or the clock is set, but not both."""

    timed: bool
    trims: bool = False
    clocks: bool = False
    fleet: bool = False
    crowded: bool = False  # more names than there are places for
    settings: bool = False  # which change
    replica: bool = False  # of Redis


_SETTINGS = st.builds(
    Settings, st.sampled_from([REFUSALS, ("boom",)]), st.sampled_from(["XXX", "EUR"]), st.sampled_from([False, True])
)
_STATUSES = st.sampled_from(
    ["success", "failed", "pending", "cancelled", "paid", "Declined", "created", "queued", "completed", "refunded"]
)
_AMOUNTS = st.sampled_from(["10", "0.01", 3, "19.999999"])
_MILLISECONDS = st.sampled_from([1, 2.5, 40, 700, 2000])
_COUNTS = st.integers(0, 9)
_PAST = st.sampled_from([-1.0, -3.5, -7.0, -30.0, 1.0, 5.0])
# A reading that is ahead of its time counts as of the restart that comes before that time.
_NOT_AHEAD = st.sampled_from([-1.0, -3.5, -7.0, -30.0, 5.0])

_NUMBERED = st.fixed_dictionaries(
    {"producer": st.sampled_from(["A", "B"]), "epoch": st.sampled_from(["e1", "e2", "e3"]), "seq": st.integers(1, 9)}
)
_WITHOUT_EPOCH = st.fixed_dictionaries({"producer": st.just("C"), "seq": st.integers(1, 9)})
_NUMBERS: st.SearchStrategy[dict[str, Any]] = st.one_of(st.just({}), _NUMBERED, _WITHOUT_EPOCH)


def _weighted(*choices: tuple[int, st.SearchStrategy[Any]]) -> st.SearchStrategy[Any]:
    """Draw from each as often as its weight says: `one_of` takes what is listed twice for one."""
    listed = [strategy for weight, strategy in choices for _ in range(weight)]
    return st.integers(0, len(listed) - 1).flatmap(lambda at: listed[at])


def _names(few: list[str], more: list[str], kind: Kind) -> st.SearchStrategy[str]:
    return st.sampled_from(few + more if kind.crowded else few)


def _products(kind: Kind) -> st.SearchStrategy[str]:
    return _names(["p1", "p2", "p3"], ["p4", "p5"], kind)


def _orders(kind: Kind) -> st.SearchStrategy[dict[str, Any]]:
    optional: dict[str, Any] = {
        "order_id": st.sampled_from(["o1", "o2", "o3"]),
        "product_id": _products(kind),
        "quantity": st.integers(1, 3),
        "reason": _names(["sold_out", "boom"], ["limit_reached", "crash"], kind),
        "amount": _AMOUNTS,
        "currency": _names(["EUR", "usd"], ["QQA", "QQB"], kind),
        "latency_ms": _MILLISECONDS,
        "processing_ms": _MILLISECONDS,
        "gift": st.just({"wrap": "red"}),
    }
    return st.fixed_dictionaries({"status": _STATUSES}, optional=optional | ({"ts": _PAST} if kind.timed else {}))


def _others(kind: Kind) -> st.SearchStrategy[Event]:
    when = {"ts": _NOT_AHEAD} if kind.timed else {}
    inventory = st.fixed_dictionaries(
        {"type": st.just("inventory"), "product_id": _products(kind), "stock": st.integers(-2, 9)}, optional=when
    )
    queue = st.fixed_dictionaries(
        {"type": st.just("queue"), "waiting": _COUNTS},
        optional={"queue": _names(["mail"], ["sms", "fax"], kind), "active": _COUNTS},
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
    ignored = st.fixed_dictionaries({"type": _names(["payment", "login"], ["click", "view"], kind)})
    visit = st.fixed_dictionaries(
        {"type": st.just("visit"), "pages": st.sampled_from([1, 2.5, "3"])},
        optional={"status": st.sampled_from(["new", "success"])},
    )
    return st.one_of(inventory, queue, workers, connections, refused, ignored, visit)


_HEARTBEATS = st.builds(lambda numbers: {"type": "heartbeat", **numbers}, _NUMBERED)
_CUT = st.builds(lambda numbers: json.dumps({**numbers, "status": "success"})[:-1], _NUMBERED)


def _events(kind: Kind) -> st.SearchStrategy[Event]:
    body = _weighted((2, _orders(kind)), (1, _others(kind)))
    numbered = st.builds(lambda event, numbers: {**event, **numbers}, body, _NUMBERS)
    return _weighted((4, numbered), (1, _HEARTBEATS), (1, _CUT))


def _publish(kind: Kind) -> st.SearchStrategy[Alone]:
    transports: st.SearchStrategy[Transport] = st.sampled_from(["pubsub", "stream"])
    events = st.lists(_events(kind), min_size=1, max_size=4)
    whole = events.map(lambda found: [event for event in found if isinstance(event, dict)] or [{"status": "success"}])
    single: st.SearchStrategy[Alone] = st.builds(Publish, transports, events, st.just(False))
    return _weighted((2, single), (1, st.builds(Publish, transports, whole, st.just(True))))


def _steps(kind: Kind) -> st.SearchStrategy[Step]:
    publish = _publish(kind)
    waits: st.SearchStrategy[Alone] = st.builds(Wait, st.sampled_from([0.5, 1.3, 5.2, 12.4, 61.7]))
    rare: list[st.SearchStrategy[Alone]] = [
        st.builds(Fail, st.sampled_from(["away", "answer lost"])),
        st.builds(
            Restart,
            st.sampled_from(["stopped", "killed", "taken over"]),
            st.sampled_from([0.2, 3.1, 20.3, 70.9, *([101.3] if kind.fleet else [])]),
        ),
        st.just(Clear(settled=True)),
        st.builds(ClearMetric, st.sampled_from([metric.name for metric in DEFINED]), st.just(True)),
        st.just(Flush()),
    ]
    if kind.replica:
        rare = [*rare[:-1], *[st.just(Lag())] * 2, *[st.just(Failover())] * 2]
    if kind.trims:
        rare.append(st.builds(Trim, st.integers(0, 3)))
    if kind.clocks:
        rare.append(st.builds(SetClock, st.sampled_from([-20.0, -600.0, 3.0, 86_400.0])))
    if kind.settings:
        rare += [st.builds(Reload, _SETTINGS), st.builds(Buckets, st.sampled_from([BUCKETS_MS, (2.5, 1000)]))]
    alone = _weighted((1, st.just(Rest())), (8, publish), (4, waits), *((1, step) for step in rare))
    if not kind.fleet:
        return alone
    freeze: st.SearchStrategy[Step] = st.builds(Freeze, st.sampled_from([1.2, 3.7, 20.6]))
    return _weighted((6, alone), (4, st.builds(Other, alone)), (1, freeze))


KINDS = (
    Kind(timed=True),
    Kind(timed=True, trims=True),
    Kind(timed=False, clocks=True),
    Kind(timed=False, trims=True, clocks=True),
    Kind(timed=True, trims=True, fleet=True),
    Kind(timed=True, crowded=True),
    Kind(timed=True, crowded=True, settings=True),
    Kind(timed=True, replica=True),
    Kind(timed=True, fleet=True, crowded=True, settings=True),
)
SERVED_KINDS = KINDS[:2]  # ids of a real stream only go on


def walks(*, steps: int = 40, kinds: tuple[Kind, ...] = KINDS) -> st.SearchStrategy[Walk]:
    """Return walks of so many steps."""
    return (
        st.sampled_from(kinds)
        .flatmap(lambda kind: st.lists(_steps(kind), min_size=steps, max_size=steps))
        .map(lambda steps: [step for step in steps if not isinstance(step, Rest)])
    )
