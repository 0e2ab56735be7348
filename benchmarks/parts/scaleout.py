"""Scale-out: one sidecar, and two that share the load, each with its own channel and prefix, on one Redis."""

import contextlib
import os
import statistics
import time
from collections.abc import Callable

from benchmarks.events import CHANNEL
from benchmarks.lab import Lab, Sidecar, lab
from benchmarks.processes import published
from benchmarks.results import Report, Sample, number
from benchmarks.subjects import MICRO

TITLE = "Scale-out: one and two sidecars"
EVENTS = 300_000  # of each sidecar
ROUNDS = 3
CORES = 4  # two sidecars, Redis, publishers


def run(say: Callable[[str], None], full: bool) -> Report:
    """Measure one and two in interleaved rounds."""
    report = Report(TITLE)
    found: dict[int, list[tuple[float, float]]] = {1: [], 2: []}
    with lab() as place, contextlib.ExitStack() as stack:
        sidecars = [stack.enter_context(_shard(place, number)) for number in range(2)]
        for turn in range(ROUNDS + 1):
            for count in (1, 2):
                measured = _drain(place, sidecars[:count])
                say(f"round {turn} of {ROUNDS}, {count}: {number(measured[0])} events/s, {measured[1]:.2f} us each")
                found[count] += [measured] * bool(turn)
    for count, rounds in found.items():
        rates = Sample([rate for rate, _ in rounds], "events/s")
        costs = Sample([cost for _, cost in rounds], "us CPU/event")
        report.note(f"{count} sidecar{'s' * (count > 1)}: {rates} together, {costs}.")
    gain = statistics.median(r for r, _ in found[2]) / statistics.median(r for r, _ in found[1])
    report.note(f"Two take {gain:.2f} times as much as one.")
    if (os.cpu_count() or 1) < CORES:
        report.note(f"Two sidecars, Redis and the publishers want {CORES} cores; here they share {os.cpu_count()}.")
    return report


def _channel(number: int) -> str:
    return f"{CHANNEL}:{number}"


def _shard(place: Lab, number: int) -> contextlib.AbstractContextManager[Sidecar]:
    return place.sidecar(
        redis={"prefix": f"shard_{number}:"},
        sources={"pubsub": [_channel(number)], "streams": []},
        instance=f"shard-{number}",
    )


def _drain(place: Lab, sidecars: list[Sidecar]) -> tuple[float, float]:
    """Publish to each; return events a second of all, and CPU microseconds an event."""
    before = [sidecar.orders() for sidecar in sidecars]
    cpu, began = sum(sidecar.cpu() for sidecar in sidecars), time.monotonic()
    publishers = [place.start_publishing(EVENTS, channel=_channel(number)) for number in range(len(sidecars))]
    told = [published(publisher) for publisher in publishers]
    for sidecar, start, one in zip(sidecars, before, told, strict=True):
        sidecar.wait_for(start + one["orders"])
    events = sum(one["events"] for one in told)
    return events / (time.monotonic() - began), (sum(s.cpu() for s in sidecars) - cpu) / events * MICRO
