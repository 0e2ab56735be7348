"""Gauges: the newest reading of each queue and producer, and their sums in each second.

The sum of a second is as of its end. A late reading changes the seconds from it to the next reading of its name. If the
other readings of its second are already forgotten, the nearest known ones are used.
"""

from collections.abc import Callable, Iterable, Mapping
from heapq import heapify, heappop, heappush
from itertools import accumulate
from math import inf

from sidecar.core.counts.parts import Reading

REACH_SECONDS = 60  # a later reading changes only its own second
BySecond = dict[int, dict[str, Reading]]  # the last reading of each name within each Unix second


def keep(readings: dict[str, Reading], name: str, reading: Reading) -> None:
    """Keep the newer of this reading and the known one."""
    if name in readings:
        readings[name].merge(reading)
    else:
        readings[name] = reading.copy()


def keep_all(seconds: BySecond, later: BySecond) -> None:
    """Keep the newer readings in every second."""
    for second, readings in later.items():
        for name, reading in readings.items():
            keep(seconds.setdefault(second, {}), name, reading)


def joined(*parts: BySecond) -> BySecond:
    """Return the newest readings of all parts in every second."""
    seconds: BySecond = {}
    for part in parts:
        keep_all(seconds, part)
    return seconds


def forget(seconds: BySecond, oldest: float) -> None:
    """Merge the seconds before `oldest` into second 0: no history shows them, but one may have the newest reading."""
    for second in [second for second in seconds if second < oldest]:
        keep_all(seconds, {0: seconds.pop(second)})


def thin(seconds: BySecond, most: int) -> None:
    """Forget the oldest seconds, so that about `most` readings are left."""
    excess, times = count(seconds) - most, sorted(seconds)
    before = accumulate((len(seconds[second]) for second in times), initial=0)
    forget(seconds, max((second + 1 for second, gone in zip(times, before, strict=False) if gone < excess), default=0))


def step(seconds: BySecond, by: float, now: float) -> None:
    """Follow a clock that was set by `by` seconds, to `now`; readings in the future move to now."""
    for second in sorted(seconds):
        for reading in seconds[second].values():
            reading.step(by, now)
        if second > int(now):
            keep_all(seconds, {int(now): seconds.pop(second)})


def count(seconds: BySecond) -> int:
    """Return how many readings there are."""
    return sum(map(len, seconds.values()))


def added_up(readings: Iterable[Reading], since: float = -inf) -> int | None:
    """Return the sum of the readings seen since `since` (Unix seconds), `None` if there are none."""
    values = [reading.value for reading in readings if reading.value is not None and reading.seen >= since]
    return sum(values) if values else None


class _Sum:
    """A sum of readings, updated as readings come and become too old."""

    def __init__(self, readings: Mapping[str, Reading]) -> None:
        self._readings = dict(readings)
        self._total = sum(map(_number, readings.values()))
        self._ages = [(reading.seen, name) for name, reading in readings.items()]  # a heap, with outdated entries
        heapify(self._ages)

    def put(self, name: str, reading: Reading) -> None:
        """Replace the reading of a name."""
        self._remove(name)
        self._readings[name] = reading
        self._total += _number(reading)
        heappush(self._ages, (reading.seen, name))

    def since(self, oldest: float) -> int | None:
        """Drop older readings; return the sum of the others, `None` if there are none."""
        while self._ages and self._ages[0][0] < oldest:
            _, name = heappop(self._ages)
            if name in self._readings and self._readings[name].seen < oldest:
                self._remove(name)
        return self._total if self._readings else None

    def _remove(self, name: str) -> None:
        if name in self._readings:
            self._total -= _number(self._readings.pop(name))


class _Change:
    """How much new readings change the stored sums: the newest readings minus those known before."""

    def __init__(self, known: Mapping[str, Reading]) -> None:
        self._known = known
        self._by_name: dict[str, int] = {}
        self.total = 0

    def take(self, readings: Mapping[str, Reading]) -> bool:
        """Take the readings of a second; return False if one is older than the known one, so the change is unknown."""
        exact = True
        for name, reading in readings.items():
            known = self._known.get(name)
            if known is not None and known.ts > reading.ts:
                exact = False
                continue
            change = _number(reading) - (_number(known) if known else 0)
            self.total += change - self._by_name.get(name, 0)
            self._by_name[name] = change
        return exact


def by_second(
    known: Mapping[str, Reading],
    reported: BySecond,
    before: Callable[[int], int | None],
    now: float,
    silent_seconds: float = inf,
) -> dict[int, int]:
    """Return the sum of every second that the `reported` readings change, and of the current one.

    `known` are the newest readings so far; `before` returns stored sums, if any. Names that were silent for
    `silent_seconds` do not count.
    """
    known = {name: reading for name, reading in known.items() if reading.value is not None}
    sums: dict[int, int] = {}
    latest: dict[str, Reading] = {}
    later: list[tuple[float, str]] = []  # a heap: when the known reading of a name is the newest again
    current, change = _Sum(known), _Change(known)
    oldest = int(now) - REACH_SECONDS
    for second in _seconds(reported, oldest, int(now)):
        changed = reported.get(second, {})
        latest.update(changed)
        for name in changed:
            current.put(name, _at(known.get(name), latest[name], second + 1))
            if name in known and known[name].ts >= second + 1:
                heappush(later, (known[name].ts, name))
        while later and later[0][0] < second + 1:
            _, name = heappop(later)
            current.put(name, _at(known[name], latest[name], second + 1))
        found = current.since(min(second + 1, now) - silent_seconds)
        stored = before(second) if oldest <= second < int(now) else None
        if second >= oldest and change.take(changed) and stored is not None:
            found = max(stored + change.total, 0)
        if found is not None and (changed or found != stored):
            sums[second] = found
    return sums


def _seconds(reported: BySecond, oldest: int, present: int) -> list[int]:
    """Return the seconds that may change, ascending: the reported ones, and from `oldest` on all after one of them."""
    first = min((second for second in reported if second >= oldest), default=present)
    return sorted({*reported, *range(first, present), present})


def _number(reading: Reading) -> int:
    return reading.value or 0


def _at(known: Reading | None, latest: Reading, end: int) -> Reading:
    """Return the newest reading of a name before `end`: `latest` is before it, `known` may be after it."""
    return latest if known is None or known.ts >= end or latest.ts >= known.ts else known
