"""CPU per event: pub/sub and stream against their floors, bad input, the loop everybody writes, FastStream."""

import contextlib
from collections.abc import Callable

from benchmarks import svg
from benchmarks.results import Report, Row, Sample
from benchmarks.subjects import Measure, mapping_subject, python_with, rounds, sidecar_subject, yardstick_subject

TITLE = "Ingest: CPU per event"
ROUNDS = 3
# As many as take about a second of CPU, since CPU time is counted in steps of 10 ms.
EVENTS, SLOW_EVENTS, SLOWEST_EVENTS = 500_000, 50_000, 8_000
CORE_US = 1e6


def run(say: Callable[[str], None], full: bool) -> Report:
    """Measure in interleaved rounds."""
    report = Report(TITLE)
    with contextlib.ExitStack() as stack:
        subjects = _subjects(stack, EVENTS * (5 if full else 1))
        if python := python_with("faststream"):
            subject = yardstick_subject("faststream_app", SLOWEST_EVENTS, python=python)
            subjects["FastStream"] = stack.enter_context(subject)
        else:
            report.note("FastStream was not measured: it is not installed (`make bench` installs it into .venv-bench).")
        found = rounds(subjects, ROUNDS, say)
    mapped = rounds(_mapping_subjects(), ROUNDS, say)
    report.rows = [*_rows(found), *_mapping_rows(mapped)]
    if "with_jmespath" not in mapped:
        report.note("jmespath was not measured: it is not installed (`make bench` installs it into .venv-bench).")
    report.plots.append(svg.bars("events_per_second.svg", "Events a second, one core", _per_second(found), "events/s"))
    return report


def _subjects(stack: contextlib.ExitStack, events: int) -> dict[str, Measure]:
    enter = stack.enter_context
    return {
        "pub/sub": enter(sidecar_subject(events)),
        "floor of pub/sub": enter(yardstick_subject("floor", events, "pubsub")),
        "stream": enter(sidecar_subject(events, transport="stream")),
        "floor of XREAD": enter(yardstick_subject("floor", events, "stream", transport="stream")),
        "pub/sub, 0.1 % invalid": enter(sidecar_subject(events, invalid=0.001)),
        "pub/sub, out of order": enter(sidecar_subject(events, threads=1)),
        "pub/sub, losing": enter(sidecar_subject(events, losing=1)),
        "the loop everybody writes": enter(yardstick_subject("usual_loop", SLOW_EVENTS)),
    }


def _rows(found: dict[str, Sample]) -> list[Row]:
    pubsub, floor = found["pub/sub"], found["floor of pub/sub"]
    rows = [
        Row("pub/sub, everything on", pubsub, 1.8, "<= 1.8 x, aim 1.5", floor, "the floor"),
        Row("stream, everything on", found["stream"], 2.0, "<= 2 x", found["floor of XREAD"], "the floor of XREAD"),
        Row("0.1 % invalid events", found["pub/sub, 0.1 % invalid"], 1.2, "<= 1.2 x", pubsub, "none invalid"),
        Row("numbers out of order", found["pub/sub, out of order"], 1.3, "<= 1.3 x", pubsub, "in order"),
        Row("a lost number in 500", found["pub/sub, losing"], 1.3, "<= 1.3 x", pubsub, "none lost"),
    ]
    usual = found["the loop everybody writes"]
    rows.append(Row("against the usual loop", pubsub, 6, ">= 6 x less", usual, "the usual loop", at_least=True))
    if (faststream := found.get("FastStream")) is not None:
        rows.append(Row("against FastStream", pubsub, 50, ">= 50 x less", faststream, "FastStream", at_least=True))
    return rows


def _mapping_subjects() -> dict[str, Measure]:
    """Return what decodes payloads of other systems, without Redis, and what that is measured by."""
    names = ("decoded", "mapped_order", "own", "mapped_event", "custom_counter", "custom_histogram")
    subjects = {name: mapping_subject(name, SLOW_EVENTS) for name in names}
    if python := python_with("jmespath"):
        subjects["with_jmespath"] = mapping_subject("with_jmespath", SLOWEST_EVENTS, python)
    return subjects


def _mapping_rows(found: dict[str, Sample]) -> list[Row]:
    order = found["mapped_order"]
    rows = [
        Row("a mapped Shopify order", order, 1.6, "<= 1.6 x", found["decoded"], "msgspec.json.decode alone"),
        Row("a mapped flat event", found["mapped_event"], 2, "<= 2 x", found["own"], "an event of our own"),
        Row("a custom counter, one label", found["custom_counter"], 0.1, "<= 0.1 us"),
        Row("a custom histogram", found["custom_histogram"], 0.15, "<= 0.15 us"),
    ]
    if (jmespath := found.get("with_jmespath")) is not None:
        rows.append(Row("against jmespath", order, 1, "less", jmespath, "jmespath on the order", at_least=True))
    return rows


def _per_second(found: dict[str, Sample]) -> dict[str, float]:
    return {name: CORE_US / sample.median for name, sample in found.items()}
