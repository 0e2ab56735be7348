"""What is measured by CPU per event: the sidecar with everything on, or a yardstick, each on a Redis of its own."""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator

from benchmarks.lab import Lab, Sidecar, lab
from benchmarks.processes import Program, program, yardstick
from benchmarks.results import Sample

MICRO = 1e6
WATCHING = 10  # WebSocket clients beside one scrape every 5 s: "everything on"
Measure = Callable[[], float]


def sidecar_cost(place: Lab, sidecar: Sidecar, count: int, **options: object) -> float:
    """Publish, wait until all is committed; return the daemon's CPU microseconds per event."""
    before, cpu = sidecar.orders(), sidecar.cpu()
    told = place.publish(count, **options)
    sidecar.wait_for(before + told["orders"])
    return (sidecar.cpu() - cpu) / float(told["events"]) * MICRO


def yardstick_cost(place: Lab, subject: Program, count: int, **options: object) -> float:
    """Publish, wait until the yardstick has taken all; return its CPU microseconds per event."""
    cpu = subject.cpu()
    told = place.publish(count, **options)
    subject.line()
    return (subject.cpu() - cpu) / float(told["events"]) * MICRO


@contextlib.contextmanager
def watched_sidecar(place: Lab, **settings: object) -> Iterator[Sidecar]:
    """Run a daemon with a scraper and WebSocket clients."""
    with place.sidecar(**settings) as sidecar:
        daemon = sidecar.daemon
        scrape = f"http://127.0.0.1:{daemon.http}/metrics"
        module = (sys.executable, "-m", "benchmarks.clients")
        with program(*module, str(daemon.ws), str(WATCHING), "--scrape", scrape) as watchers:
            watchers.line()
            yield sidecar


@contextlib.contextmanager
def sidecar_subject(count: int, **options: object) -> Iterator[Measure]:
    """Offer rounds of a daemon of its own."""
    with lab() as place, watched_sidecar(place) as sidecar:
        yield lambda: sidecar_cost(place, sidecar, count, **options)


@contextlib.contextmanager
def yardstick_subject(
    name: str, count: int, *arguments: object, python: str = sys.executable, **options: object
) -> Iterator[Measure]:
    """Offer rounds of a yardstick of its own."""
    with lab() as place, yardstick(name, *arguments, place.port, count, python=python) as subject:
        yield lambda: yardstick_cost(place, subject, count, **options)


def rounds(
    subjects: dict[str, Measure], times: int, say: Callable[[str], None], *, unit: str = "us CPU/event"
) -> dict[str, Sample]:
    """Measure each in turn, again and again; the first round warms up and is not counted."""
    values: dict[str, list[float]] = {name: [] for name in subjects}
    for turn in range(times + 1):
        for name, measure in subjects.items():
            value = measure()
            say(f"round {turn} of {times}, {name}: {value:.2f} {unit}")
            if turn:
                values[name].append(value)
    return {name: Sample(found, unit) for name, found in values.items()}


def mapping_subject(name: str, count: int, python: str = sys.executable) -> Measure:
    """Offer rounds of decoding and mapping without Redis (yardsticks/mapping.py)."""
    command = [python, "-m", "benchmarks.yardsticks.mapping", name, str(count)]
    return lambda: float(subprocess.run(command, capture_output=True, check=True).stdout)


def python_with(module: str) -> str:
    """Return a Python that has a module (`make bench` names it in BENCH_PYTHON); empty if there is none."""
    python = shutil.which(os.environ.get("BENCH_PYTHON", sys.executable))
    if python and subprocess.run([python, "-c", f"import {module}"], capture_output=True, check=False).returncode == 0:
        return python
    return ""
