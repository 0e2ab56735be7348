"""Short ways to say: these events came, they were committed, this is shown."""

import json
from math import isclose
from random import Random
from typing import Any

from sidecar.core.commit.aggregator import Aggregator, Flight
from sidecar.core.counts.parts import Product
from sidecar.core.counts.rules import Rules
from sidecar.core.counts.state import State
from sidecar.core.events.batch import Batch, Empty
from sidecar.core.snapshot.compute import SnapshotContext, compute
from sidecar.core.snapshot.snapshot import Snapshot

NOW = 1_790_000_000.0  # a whole second, and the first of an even minute's last 20 s
RULES = Rules()
PUBSUB, STREAM = "pubsub:events", "stream:events"


def order(status: str = "success", **fields: Any) -> dict[str, Any]:
    return {"status": status, **fields}


def batch(*events: Any, source: str = PUBSUB, at: float = NOW, empty: int = 0) -> Batch:
    """Return a batch of events (bytes as they are, the rest as JSON) that arrived together."""
    payloads = [event if isinstance(event, bytes) else json.dumps(event).encode() for event in events]
    entries = [Empty(f"{n}-0", [b"data", b"x"]) for n in range(empty)]
    return Batch(source=source, payloads=payloads, arrivals=[at] * len(payloads), empty=entries)


def aggregator(rules: Rules = RULES) -> Aggregator:
    return Aggregator(rules, Random(1))


def commit(aggregate: Aggregator, now: float = NOW) -> Flight:
    flight = aggregate.freeze(now)
    aggregate.land(flight, now)
    return flight


def committed(*events: Any, rules: Rules = RULES, at: float = NOW, source: str = PUBSUB) -> Aggregator:
    """Return an Aggregator that counted these events and nothing else."""
    aggregate = aggregator(rules)
    aggregate.apply(batch(*events, at=at, source=source), at)
    commit(aggregate, at)
    return aggregate


def shown(aggregate: Aggregator, now: float = NOW, rules: Rules = RULES) -> Snapshot:
    """Return the Snapshot of what is committed, with a commit interval of half a second."""
    return compute(aggregate.committed, rules, context(now, born=aggregate.born, exemplars=aggregate.exemplars))


def context(now: float = NOW, **changes: Any) -> SnapshotContext:
    known: dict[str, Any] = {"instance": "i", "committed_at": now, "stale": False, "uptime_s": 1.0, "settled": 0.5}
    return SnapshotContext(now=now, **(known | changes))


class Weight(float):
    """A sum of weighted sales: a float, and rounded to 2^-20 of a unit in each commit."""

    def __eq__(self, other: object) -> bool:
        """Compare within what a few dozen commits may round."""
        return isinstance(other, Weight) and isclose(self, other, rel_tol=1e-9, abs_tol=2e-5)

    __hash__ = None  # type: ignore[assignment]  # what is only nearly equal has none


def content(state: State) -> dict[tuple[str, Any], Any]:
    """Return every part in a form that can be compared."""
    return {(name, key): _plain(part) for name, parts in state.sections() for key, part in parts.items()}


def _plain(part: Any) -> Any:
    if isinstance(part, Product):
        sums = part.depletion.units, part.depletion.calm_units, part.depletion.squares
        return [*part.dump()[:9], *map(Weight, sums), *part.dump()[12:]]
    return part.dump()
