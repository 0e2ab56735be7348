"""What Redis itself spends: the sidecar against merely delivering, and against five commands for every order."""

import contextlib
import sys
from collections.abc import Callable

from benchmarks import node
from benchmarks.lab import Lab, Sidecar, lab
from benchmarks.processes import program, yardstick
from benchmarks.results import Report, Row, Sample
from benchmarks.subjects import MICRO, Measure, rounds, watched_sidecar

TITLE = "Redis: its own CPU"
ROUNDS = 4
# A rate of a busy sale, at which the publisher does not wait for Redis.
RATE = 50_000
EVENTS = 75_000
ORDERS = 6_000
UNIT = "us of Redis/event"


def run(say: Callable[[str], None], full: bool) -> Report:
    """Measure in interleaved rounds."""
    report = Report(TITLE)
    with contextlib.ExitStack() as stack:
        alone, delivering, counting, ordering = (stack.enter_context(lab()) for _ in range(4))
        stack.enter_context(yardstick("null_subscriber", delivering.port))
        sidecar = stack.enter_context(watched_sidecar(counting))
        subjects: dict[str, Measure] = {
            "nobody": lambda: _delivered(alone),
            "null subscriber": lambda: _delivered(delivering),
            "sidecar": lambda: _counted(counting, sidecar),
            "Python": lambda: _ordered(ordering, sys.executable, "-m", "benchmarks.yardsticks.per_order"),
        }
        if lacking := node.prepare():
            report.note(f"The Node service was not measured: {lacking}.")
        else:
            subjects["Node"] = lambda: _ordered(ordering, "node", str(node.SCRIPT))
        found = rounds(subjects, ROUNDS, say, unit=UNIT)
    report.rows = _rows(found)
    report.note(f"At {RATE:,} events a second. PUBLISH with nobody listening costs Redis {found['nobody']}.")
    return report


def _rows(found: dict[str, Sample]) -> list[Row]:
    """Judge the whole bill by delivery, PUBLISH included in both; against the other design, what the sidecar adds."""
    published, counted = found["nobody"].median, found["sidecar"]
    added = Sample([value - published for value in counted.values], UNIT)
    whole = Row("PUBLISH, delivery, commits", counted, 1.2, "<= 1.2 x", found["null subscriber"], "a null subscriber")
    against = [
        Row(f"delivery, commits: against {name}", added, 10, ">= 10 x less", found[name], text, at_least=True)
        for name, text in (("Python", "5 commands per order, redis-py"), ("Node", "5 commands per order, ioredis"))
        if name in found
    ]
    return [whole, *against]


def _delivered(place: Lab) -> float:
    cpu = place.redis_cpu()
    told = place.publish(EVENTS, rate=RATE)
    return (place.redis_cpu() - cpu) / float(told["events"]) * MICRO


def _counted(place: Lab, sidecar: Sidecar) -> float:
    before, cpu = sidecar.orders(), place.redis_cpu()
    told = place.publish(EVENTS, rate=RATE)
    sidecar.wait_for(before + told["orders"])
    return (place.redis_cpu() - cpu) / float(told["events"]) * MICRO


def _ordered(place: Lab, *command: str) -> float:
    with program(*command, str(place.port), str(ORDERS), env=node.environment()) as service:
        service.line()
        cpu = place.redis_cpu()
        service.line()
        return (place.redis_cpu() - cpu) / ORDERS * MICRO
