"""CPU per event against rate: at low rates the commits show, at high ones the batches."""

from collections.abc import Callable

from benchmarks import svg
from benchmarks.capacity import held_rate
from benchmarks.lab import lab
from benchmarks.processes import yardstick
from benchmarks.results import Report, number
from benchmarks.subjects import sidecar_cost, watched_sidecar, yardstick_cost

TITLE = "Rates: CPU per event against rate"
SECONDS = 3
RATES = (10_000, 20_000, 50_000, 100_000, 200_000, 400_000)
AT_MOST = 0.9  # of what it can hold


def run(say: Callable[[str], None], full: bool) -> Report:
    """Measure the sidecar and the floor at each rate it can hold."""
    report = Report(TITLE)
    say("the rate it can hold ...")
    held = held_rate("pubsub")
    ours: list[tuple[float, float]] = []
    floor: list[tuple[float, float]] = []
    with lab() as place, watched_sidecar(place) as sidecar, lab() as other:
        for rate in (*(rate for rate in RATES if rate < AT_MOST * held), int(AT_MOST * held)):
            count = rate * SECONDS // 100 * 100
            ours.append((rate, sidecar_cost(place, sidecar, count, rate=rate)))
            with yardstick("floor", "pubsub", other.port, count) as subject:
                floor.append((rate, yardstick_cost(other, subject, count, rate=rate)))
            say(f"{rate} a second: {ours[-1][1]:.2f} us, floor {floor[-1][1]:.2f} us")
    name, title = "cpu_per_event.svg", "CPU per event, pub/sub, everything on"
    series = {"sidecar": ours, "floor": floor}
    report.plots.append(svg.lines(name, title, series, x="events a second", y="us of CPU per event"))
    report.note(f"It holds {number(held)} events a second here, beside publisher and Redis.")
    for (at, cost), (_, least) in zip(ours, floor, strict=True):
        share = at * cost / 1e4
        report.note(f"{at:,.0f} events/s: {cost:.2f} us an event, {share:.0f} % of a core; floor {least:.2f} us.")
    return report
