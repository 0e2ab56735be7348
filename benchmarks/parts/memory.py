"""Memory: after many events as after few, with 1,000 products."""

import time
from collections.abc import Callable

from benchmarks.capacity import held_rate
from benchmarks.lab import Lab, Sidecar, lab
from benchmarks.processes import memory_mb
from benchmarks.results import Report, Row, Sample
from benchmarks.subjects import watched_sidecar

TITLE = "Memory: resident, 1,000 products"
FEW, MANY, FULL_MANY = 1_000_000, 3_000_000, 50_000_000
PRODUCTS = 1000
STEPS = 4
PART_OF_HELD = 0.8
LOOKS = 5


def run(say: Callable[[str], None], full: bool) -> Report:
    """Count a million events, look, count many more, look again."""
    report = Report(TITLE)
    many = FULL_MANY if full else MANY
    say("the rate it can hold ...")
    rate = int(PART_OF_HELD * held_rate("pubsub"))
    with lab() as place, watched_sidecar(place) as sidecar:
        few = _after(place, sidecar, FEW, rate)
        say(f"after {FEW:,} events {few.median:.1f} MB")
        for step in range(STEPS):
            late = _after(place, sidecar, (many - FEW) // STEPS, rate)
            say(f"after {FEW + (many - FEW) * (step + 1) // STEPS:,} events {late.median:.1f} MB")
    report.rows = [
        Row(f"resident after {many:,} events", late, 1.05, "+- 5 %", few, f"after {FEW:,}"),
        Row("resident", late, 120, "<= 120 MB"),
    ]
    if not full:
        report.note(f"{FULL_MANY:,} events take a while: `make bench ONLY=memory FULL=1`.")
    return report


def _after(place: Lab, sidecar: Sidecar, events: int, rate: int) -> Sample:
    """Publish, and return the memory of the next few commits."""
    before = sidecar.orders()
    told = place.publish(events, rate=rate, products=PRODUCTS)
    sidecar.wait_for(before + told["orders"])
    looks = []
    for _ in range(LOOKS):
        time.sleep(0.5)
        looks.append(memory_mb(sidecar.pid))
    return Sample(looks, "MB")
