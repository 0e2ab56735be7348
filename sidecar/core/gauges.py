"""Gauges: the newest reading of each queue and producer, and what they added up to in the seconds they reported in.

A second shows what was known at its end. Where a reading comes so late that the others of its second are forgotten,
their nearest known ones stand in.
"""

from collections.abc import Iterable, Mapping
from heapq import heapify, heappop, heappush
from itertools import accumulate
from math import inf

from sidecar.core.parts import Reading

BySecond = dict[int, dict[str, Reading]]  # the last reading of each name within each Unix second


def keep(readings: dict[str, Reading], name: str, reading: Reading) -> None:
    """Keep the newer of this reading and the one known."""
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
    """Return the newer readings of all parts in every second."""
    seconds: BySecond = {}
    for part in parts:
        keep_all(seconds, part)
    return seconds


def forget(seconds: BySecond, oldest: float) -> None:
    """Gather the seconds before `oldest` in second 0: no history shows them, but a reading there may be the newest."""
    for second in [second for second in seconds if second < oldest]:
        keep_all(seconds, {0: seconds.pop(second)})


def thin(seconds: BySecond, most: int) -> None:
    """Forget the oldest seconds, so that about so many readings are left."""
    excess, times = count(seconds) - most, sorted(seconds)
    before = accumulate((len(seconds[second]) for second in times), initial=0)
    forget(seconds, max((second + 1 for second, gone in zip(times, before, strict=False) if gone < excess), default=0))


def count(seconds: BySecond) -> int:
    """Return how many readings there are."""
    return sum(map(len, seconds.values()))


def added_up(readings: Iterable[Reading], since: float = -inf) -> int | None:
    """Return the sum of the readings that are no older than `since`, Unix seconds; `None` if there is none."""
    values = [reading.value for reading in readings if reading.ts >= since]
    return sum(values) if values else None


class _Sum:
    """A sum of readings that changes with each of them, and as they become too old."""

    def __init__(self, readings: Mapping[str, Reading]) -> None:
        self._readings = dict(readings)
        self._total = sum(reading.value for reading in readings.values())
        self._ages = [(reading.ts, name) for name, reading in readings.items()]  # a heap, with those of before
        heapify(self._ages)

    def put(self, name: str, reading: Reading) -> None:
        """Add a reading in place of the one there is of this name."""
        self._remove(name)
        self._readings[name] = reading
        self._total += reading.value
        heappush(self._ages, (reading.ts, name))

    def since(self, oldest: float) -> int | None:
        """Leave out for good what is older; return the sum of the others, `None` if there is none."""
        while self._ages and self._ages[0][0] < oldest:
            _, name = heappop(self._ages)
            if name in self._readings and self._readings[name].ts < oldest:
                self._remove(name)
        return self._total if self._readings else None

    def _remove(self, name: str) -> None:
        if name in self._readings:
            self._total -= self._readings.pop(name).value


def by_second(
    known: Mapping[str, Reading], reported: BySecond, now: float, silent_seconds: float = inf
) -> dict[int, int]:
    """Return the sums at the end of every second `reported`, and of this one as it is.

    `known` are the newest readings of before; readings older than `silent_seconds` do not count.
    """
    sums: dict[int, int] = {}
    latest: dict[str, Reading] = {}
    later: list[tuple[float, str]] = []  # a heap: when what is known of a name takes its place again
    current = _Sum(known)
    for second in sorted({*reported, int(now)}):
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
        if found is not None:
            sums[second] = found
    return sums


def _at(known: Reading | None, latest: Reading, end: int) -> Reading:
    """Return the newest reading of a name before `end`: `latest` is from before, `known` may be from after."""
    return latest if known is None or known.ts >= end or latest.ts >= known.ts else known
