"""Bounded names and new ones, from the contract alone: which names are shown, and which counts are still shown as 0."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from typing import Any

from tests.walk.counts import Counts, newest

OTHER = "__other__"
LIMITS = {"product": 3, "reason": 4, "queue": 2, "type": 2, "currency": 1}
CONFIGURED = ("p1",)  # products with reserved places
MONEY = {"EUR", "USD", "XXX"}  # of which each has a place
HOLD_SECONDS = 2.2345


@dataclass
class Places:
    """Who has a place, by kind, and when a label set was first counted; both since the last clear."""

    known: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set, product=set(CONFIGURED)))
    beyond: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    others: set[str] = field(default_factory=set)  # kinds of which something is counted beyond
    unsure: set[str] = field(default_factory=set)  # kinds of which more came at once than there was room for
    fresh: set[tuple[str, str]] = field(default_factory=set)  # stored, but the sidecar does not know that yet
    born: dict[tuple[str, str], float] = field(default_factory=dict)
    met: set[tuple[str, str]] = field(default_factory=set)  # shown with a value before a rollback: they are not new
    zero: set[tuple[str, str]] = field(default_factory=set)  # still held then, and shown at 0 since

    def fill(self, counts: Counts) -> None:
        """Give places to the names that were stored by a commit, in which nobody knows which came first."""
        for kind, names in _names(counts).items():
            before = self.shown(kind)
            self.known[kind] |= names & MONEY
            new = names - self.known[kind] - self.beyond[kind]
            if len((self.known[kind] | new) - MONEY) <= LIMITS[kind]:
                self.known[kind] |= new
            elif self.full(kind):
                self.beyond[kind] |= new
            else:
                self.unsure.add(kind)
            if self.beyond[kind] & (_ordered(counts) if kind == "product" else names):
                self.others.add(kind)
            self.fresh |= {(kind, name) for name in self.shown(kind) - before}

    def bear(self, now: float) -> None:
        """The sidecar knows what is stored, and shows it from now on."""
        self.born |= dict.fromkeys(self.fresh - self.met, now)
        self.fresh.clear()

    def forget(self) -> None:
        """A sidecar shows at once what was stored before it began."""
        self.born.clear()
        self.fresh.clear()
        self.met.clear()
        self.zero.clear()

    def follow(self, before: "Places", now: float) -> None:
        """Redis was rolled back, and shows these instead of those of before."""
        self.forget()
        held = before.held(now)
        shown = {(kind, name) for kind in LIMITS for name in before.shown(kind)}
        self.met |= before.met | (before.zero | shown) - held
        self.zero |= held

    def full(self, kind: str) -> bool:
        """Return whether all places are taken."""
        return len(self.known[kind] - MONEY) == LIMITS[kind]

    def shown(self, kind: str) -> set[str]:
        """Return the names that are shown."""
        return self.known[kind] | ({OTHER} if kind in self.others else set())

    def held(self, now: float) -> set[tuple[str, str]]:
        """Return the label sets that are still shown as 0."""
        return {label for label, at in self.born.items() if now - at < HOLD_SECONDS}

    def label(self, kind: str, name: str) -> str:
        """Return under which name something is shown."""
        return name if name in self.known[kind] else OTHER


def _names(counts: Counts) -> dict[str, set[str]]:
    return {
        "product": _ordered(counts) | counts.stock.keys(),
        "reason": {reason for reason, _ in counts.reasons},
        "queue": {queue for queue, _ in counts.queues},
        "type": set(counts.ignored),
        "currency": set(counts.revenue),
    }


def _ordered(counts: Counts) -> set[str]:
    """Return the products of orders: the stock of one without a place is not shown."""
    return {product for product, _ in counts.products}


def limited(counts: Counts, places: Places) -> Counts:
    """Return the counts under the names that are shown; amounts and stocks of names without a place are not."""
    twin = replace(
        counts,
        products=_under(counts.products, lambda key: (places.label("product", key[0]), key[1])),
        reasons=_under(counts.reasons, lambda key: (places.label("reason", key[0]), key[1])),
        ignored=_under(counts.ignored, lambda key: places.label("type", key)),
        revenue=_under(counts.revenue, lambda key: places.label("currency", key)),
        stock={name: reading for name, reading in counts.stock.items() if name in places.known["product"]},
        queues={},
    )
    del twin.revenue[OTHER]
    for (queue, name), reading in counts.queues.items():
        newest(twin.queues, (places.label("queue", queue), name), reading)
    return twin


def _under(counts: Counter[Any], label: Any) -> Counter[Any]:
    found: Counter[Any] = Counter()
    for key, count in counts.items():
        found[label(key)] += count
    return found
