"""The rate this machine holds: how fast the daemon commits when more waits than it can take."""

import functools
import statistics
import time
from collections.abc import Callable
from itertools import pairwise

from benchmarks.lab import Lab, Sidecar, lab
from benchmarks.processes import published
from benchmarks.subjects import watched_sidecar

EVENTS = 800_000
LEAST = 20_000
POLL_SECONDS = 0.02


@functools.cache
def held_rate(transport: str) -> float:
    """Return events a second over a transport, beside publisher and Redis on the same machine; measured once."""
    with lab() as place, watched_sidecar(place) as sidecar:
        drain(place, sidecar, EVENTS // 8, transport)  # warms up
        return drain(place, sidecar, EVENTS, transport)


def drain(place: Lab, sidecar: Sidecar, events: int, transport: str) -> float:
    """Publish as fast as Redis takes it, and return the rate between the first and the last commit of it."""
    before = sidecar.orders()
    publisher = place.start_publishing(events, transport=transport)
    began = time.monotonic()
    commits = _commits(sidecar, before)
    told = published(publisher)
    while commits()[-1][1] < before + told["orders"]:
        time.sleep(POLL_SECONDS)
        if time.monotonic() - began > 300:
            raise RuntimeError(f"{events} events were not counted within 5 minutes")
    return _rate(commits(), told["events"] / told["orders"])


def _commits(sidecar: Sidecar, before: int) -> Callable[[], list[tuple[float, int]]]:
    """Return a function that looks for the next commit and returns all seen: when, and how many orders."""
    seen = [(time.monotonic(), before)]

    def look() -> list[tuple[float, int]]:
        if (orders := sidecar.orders()) != seen[-1][1]:
            seen.append((time.monotonic(), orders))
        return seen

    return look


def _rate(commits: list[tuple[float, int]], events_per_order: float) -> float:
    """Return the median rate between commits; the first and the last interval were not busy throughout."""
    steps = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in pairwise(commits)]
    return max(statistics.median(steps[1:-1] or steps) * events_per_order, LEAST)
