"""The rate this machine holds: how fast the daemon commits when more waits than it can take."""

import functools
import statistics
import time
from itertools import pairwise

from benchmarks.events import CHUNK, OTHERS
from benchmarks.lab import Lab, Sidecar, lab
from benchmarks.processes import published
from benchmarks.subjects import watched_sidecar

EVENTS = 800_000
LEAST = 20_000
PATIENCE_SECONDS = 300.0
POLL_SECONDS = 0.02


@functools.cache
def held_rate(transport: str) -> float:
    """Return events a second over a transport, beside publisher and Redis on the same machine; measured once."""
    with lab() as place, watched_sidecar(place) as sidecar:
        drain(place, sidecar, EVENTS // 8, transport)  # warms up
        return drain(place, sidecar, EVENTS, transport)


def drain(place: Lab, sidecar: Sidecar, events: int, transport: str) -> float:
    """Publish as fast as Redis takes it, and return the rate of the commits while they are busy."""
    seen = [(time.monotonic(), sidecar.orders())]
    expected = seen[0][1] + events // CHUNK * (CHUNK - OTHERS)
    publisher = place.start_publishing(events, transport=transport)
    while seen[-1][1] < expected:
        time.sleep(POLL_SECONDS)
        now, orders = time.monotonic(), sidecar.orders()
        if orders != seen[-1][1]:
            seen.append((now, orders))
        if now - seen[0][0] > PATIENCE_SECONDS:
            raise RuntimeError(f"{events} events were not counted within {PATIENCE_SECONDS:.0f} s")
    published(publisher)
    return max(_rate(seen) * CHUNK / (CHUNK - OTHERS), LEAST)


def _rate(commits: list[tuple[float, int]]) -> float:
    """Return the median rate between commits; the first and the last interval were not busy throughout."""
    steps = [(after[1] - before[1]) / (after[0] - before[0]) for before, after in pairwise(commits)]
    return statistics.median(steps[1:-1] or steps)
