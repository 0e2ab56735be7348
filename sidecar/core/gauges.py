"""Gauges: the newest reading of each queue and producer, and what they added up to in the seconds they reported in.

A second shows what was known at its end. Where a reading comes so late that the others of its second are forgotten,
their nearest known ones stand in.
"""

from collections.abc import Iterable, Mapping
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


def added_up(readings: Iterable[Reading], since: float = -inf) -> int | None:
    """Return the sum of the readings that are no older than `since`, Unix seconds; `None` if there is none."""
    values = [reading.value for reading in readings if reading.ts >= since]
    return sum(values) if values else None


def by_second(
    known: Mapping[str, Reading], reported: BySecond, now: float, silent_seconds: float = inf
) -> dict[int, int]:
    """Return the sums at the end of every second `reported`, and of this one as it is.

    `known` are the newest readings of before; readings older than `silent_seconds` do not count.
    """
    sums: dict[int, int] = {}
    latest: dict[str, Reading] = {}
    for second in sorted({*reported, int(now)}):
        latest.update(reported.get(second, {}))
        found = added_up(_at(known, latest, second + 1), min(second + 1, now) - silent_seconds)
        if found is not None:
            sums[second] = found
    return sums


def _at(known: Mapping[str, Reading], latest: Mapping[str, Reading], end: int) -> Iterable[Reading]:
    """Return the newest reading of each name before `end`: `latest` are from before, `known` may be from after."""
    at = dict(known)
    for name, reading in latest.items():
        before = known.get(name)
        if before is None or before.ts >= end or reading.ts >= before.ts:
            at[name] = reading
    return at.values()
