"""Single orders, remembered for ten minutes: the statuses they reported, and how often they ended.

An `order_id` does not deduplicate: with the four canonical status words every event counts. The other words name states
(created, reserved, queued; paid, confirmed, completed), of which several are one status: the same status of the same
order again is a repeat. And an order is decided once, however often it is retried.

The parts are keyed by the second in which they were remembered, so that a commit writes only what changed. They are
pending and committed like counts: a stream that is read again finds the memory from before. Memory is the index of all
of them.
"""

from collections.abc import Iterable, Mapping, Sized
from hashlib import blake2b
from operator import itemgetter
from typing import Any

REMEMBERED_SECONDS = 600
MOST_SAID = 100_000  # 10 MB, and 0.8 MB stored
MOST_ENDED = 10_000
ENDED_A_SECOND = 200  # a sold-out sale refuses thousands of orders, whose ids are not worth storing
DIGEST_BYTES = 8
REMEMBERED = ("said", "ended")  # of a State


class Said:
    """Digests of (status, order id) that were reported in one second."""

    __slots__ = ("digests",)

    def __init__(self) -> None:
        self.digests: set[bytes] = set()

    def __len__(self) -> int:
        return len(self.digests)

    def merge(self, other: "Said") -> None:
        self.digests |= other.digests

    def copy(self) -> "Said":
        twin = Said()
        twin.merge(self)
        return twin

    def dump(self) -> Any:
        return b"".join(sorted(self.digests))

    @classmethod
    def load(cls, data: bytes) -> "Said":
        if len(data) % DIGEST_BYTES:
            raise ValueError("it is cut")
        part = cls()
        part.digests = {data[at : at + DIGEST_BYTES] for at in range(0, len(data), DIGEST_BYTES)}
        return part


class Ended:
    """Orders that may end again, by id, with how often they were pending since; -1: once too few.

    Of several seconds with an order, the newest is valid.
    """

    __slots__ = ("orders",)

    def __init__(self) -> None:
        self.orders: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.orders)

    def merge(self, other: "Ended") -> None:
        self.orders |= other.orders

    def copy(self) -> "Ended":
        twin = Ended()
        twin.merge(self)
        return twin

    def dump(self) -> Any:
        return self.orders

    @classmethod
    def load(cls, data: dict[str, int]) -> "Ended":
        part = cls()
        part.orders = data
        return part


class Memory:
    """An index of everything remembered, over all parts."""

    def __init__(self) -> None:
        self.followed = False  # whether any order was pending; otherwise orders in flight are not shown
        self._said: dict[bytes, int] = {}  # the second of each digest, oldest first
        self._ended: dict[str, tuple[int, int]] = {}  # by order id: the second, and how often it was pending since

    def learn(self, said: Iterable[tuple[int, Said]], ended: Iterable[tuple[int, Ended]]) -> None:
        """Add remembered seconds."""
        for second, part in sorted(said, key=itemgetter(0)):
            for digest in part.digests:
                _put(self._said, digest, second, MOST_SAID)
        for second, orders in sorted(ended, key=itemgetter(0)):
            for order_id, pending in orders.orders.items():
                _put(self._ended, order_id, (second, pending), MOST_ENDED)

    def repeats(self, said: dict[int, Said], status: str, order_id: str, now: float) -> bool:
        """Return whether an order reported this status before; if not, remember it in `said`."""
        digest = blake2b(f"{status} {order_id}".encode(), digest_size=DIGEST_BYTES).digest()
        if self._said.get(digest, 0) >= now - REMEMBERED_SECONDS:
            return True
        second = int(now)
        said.setdefault(second, Said()).digests.add(digest)
        _put(self._said, digest, second, MOST_SAID)
        return False

    @property
    def knows_ends(self) -> bool:
        """Whether any order is known to have ended."""
        return bool(self._ended)

    def known(self, order_ids: list[str | None]) -> set[str | None]:
        """Return which of these orders ended before."""
        if self._ended.keys().isdisjoint(order_ids):
            return set()
        return {order_id for order_id in order_ids if order_id in self._ended}

    def has_room(self, ended: dict[int, Ended], now: float) -> bool:
        """Return whether more orders that end now can be remembered."""
        return int(now) not in ended or len(ended[int(now)]) < ENDED_A_SECOND

    def pending_since(self, order_id: str | None, now: float) -> int | None:
        """Return how often an order was pending since it ended, `None` if it is not known to have ended."""
        second, pending = self._ended.get(order_id or "", (0, 0))
        return pending if second >= now - REMEMBERED_SECONDS else None

    def end(self, ended: dict[int, Ended], order_id: str | None, pending: int, now: float) -> None:
        """Remember in `ended` how often an order was pending since it ended; beyond the limit, known orders only."""
        second = int(now)
        if order_id is not None and (order_id in self._ended or self.has_room(ended, now)):
            ended.setdefault(second, Ended()).orders[order_id] = pending
            _put(self._ended, order_id, (second, pending), MOST_ENDED)


def forgotten(parts: Mapping[int, Sized], now: float, most: int) -> list[int]:
    """Return the seconds to forget: the expired ones, and those before the newest `most`."""
    kept, gone = 0, []
    for second in sorted(parts, reverse=True):
        if second < now - REMEMBERED_SECONDS or kept >= most:
            gone.append(second)
        kept += len(parts[second])
    return gone


def step(parts: dict[int, Any], by: float, now: float) -> list[int]:
    """Follow a clock that was set by `by` seconds, to `now`: the parts keep their age.

    Returns the seconds that have no part any more.
    """
    stepped: dict[int, Any] = {}
    before = sorted(parts)
    for second in before:
        to = max(min(second + round(by), int(now)), 0)
        if to in stepped:
            stepped[to].merge(parts[second])
        else:
            stepped[to] = parts[second]
    parts.clear()
    parts.update(stepped)
    return [second for second in before if second not in stepped]


def _put(index: dict[Any, Any], key: Any, value: Any, most: int) -> None:
    """Put an entry last, and drop the first if there are too many."""
    index.pop(key, None)
    index[key] = value
    if len(index) > most:
        del index[next(iter(index))]
