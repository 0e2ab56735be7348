"""What a commit writes: growth of the append-only file at 50,000 events a second over pub/sub, which is not in it.

The orders of all products change in every commit. With the events of the benchmark the stock of most changes too (of
70 % with 300 products, 30 % with 1,000), and each has a key of its own.
"""

import time
from collections.abc import Callable

from benchmarks.lab import Lab, Sidecar, lab
from benchmarks.processes import published, yardstick
from benchmarks.results import Report, Row, Sample

TITLE = "Commits: bytes written"
RATE = 50_000
SECONDS = 2
WARM_SECONDS = 2
ROUNDS = 3
ORDERS = 2_000
DURABLE = ("--save", "", "--appendonly", "yes", "--auto-aof-rewrite-percentage", "0")
COMMITS = "flash_sale_sidecar_commits_total"
KB, MB, HOUR = 1e3, 1e6, 3600


def run(say: Callable[[str], None], full: bool) -> Report:
    """Measure with 300 and with 1,000 products."""
    report = Report(TITLE)
    with lab(*DURABLE, "--client-output-buffer-limit", "pubsub 0 0 0") as place, place.sidecar() as sidecar:
        few, many = _grown(place, sidecar, 300, say, plain=1), _grown(place, sidecar, 1000, say, plain=1)
        stocked, many_stocked = _grown(place, sidecar, 300, say), _grown(place, sidecar, 1000, say)
        other = _per_order(place)
    yardstick_is = f"5 commands per order: {other * RATE * HOUR / MB:,.0f} MB/h"
    report.rows = [
        Row("a commit, orders of 300 products", _size(few), 20, "<= 20 KB"),
        Row("a commit, orders of 1,000 products", _size(many), 60, "<= 60 KB"),
        Row("append-only file, orders of 300 products", _rate(few), 150, "<= 150 MB/h", yardstick_is=yardstick_is),
        Row("a commit, orders and stock of 300 products", _size(stocked), 20, "<= 20 KB"),
        Row("a commit, orders and stock of 1,000 products", _size(many_stocked), 60, "<= 60 KB"),
        Row("append-only file, orders and stock of 300 products", _rate(stocked), 150, "<= 150 MB/h"),
    ]
    report.note("A stock that changes is 80 bytes: its public key, whose name and value alone are 54.")
    return report


def _size(found: list[tuple[float, float]]) -> Sample:
    return Sample([size for size, _ in found], "KB")


def _rate(found: list[tuple[float, float]]) -> Sample:
    return Sample([rate for _, rate in found], "MB/h")


def _grown(
    place: Lab, sidecar: Sidecar, products: int, say: Callable[[str], None], plain: int = 0
) -> list[tuple[float, float]]:
    """Return KB a commit and MB an hour of each round."""
    seconds = WARM_SECONDS + ROUNDS * (SECONDS + 1)
    publisher = place.start_publishing(seconds * RATE, rate=RATE, products=products, plain=plain)
    time.sleep(WARM_SECONDS)
    found = []
    for _ in range(ROUNDS):
        began, size, commits = time.monotonic(), place.aof_bytes(), sidecar.own_metric(COMMITS, '{outcome="ok"}')
        time.sleep(SECONDS)
        grown = place.aof_bytes() - size
        done = sidecar.own_metric(COMMITS, '{outcome="ok"}') - commits
        found.append((grown / done / KB, grown / (time.monotonic() - began) * HOUR / MB))
        say(f"{products} products: {found[-1][0]:.1f} KB a commit")
    published(publisher)
    return found


def _per_order(place: Lab) -> float:
    """Return the bytes that five commands per order add to the file."""
    size = place.aof_bytes()
    with yardstick("per_order", place.port, ORDERS) as service:
        service.line()
    return (place.aof_bytes() - size) / ORDERS
