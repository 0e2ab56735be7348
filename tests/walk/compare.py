"""Every rendering against the oracle: each function returns what differs, one line each."""

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from math import isclose
from typing import Any, NamedTuple

from sidecar.core.snapshot.snapshot import Snapshot
from sidecar.exposition import documents
from tests.walk import custom, windows
from tests.walk.counts import FIELDS, FINISHED, PUBSUB, STATUSES, STREAM, Counts
from tests.walk.places import CONFIGURED
from tests.walk.windows import Near

UNDER = {  # what is shown by names of a kind
    "product": (("orders", "by_product"), ("", "inventory")),
    "reason": (("orders", "failed_by_reason"),),
    "queue": (("", "queues"),),
    "type": (),
    "currency": (("orders", "revenue"),),
}

ID_SECONDS = 0.001  # the ids of a stream hold whole milliseconds


class View(NamedTuple):
    """What is looked at: the counts, of which members they are the sum, what is beside them, and how long after its end
    a second is shown as whole (`None`: the clock was set, so that seconds came twice)."""

    counts: Counts
    parts: list[Counts]
    header: dict[str, Any]
    settled: float | None
    unsure: Collection[str] = ()  # kinds of names that are compared no further
    gauge: bool = False  # whether the custom one is compared


def of_snapshot(snapshot: Snapshot, view: View) -> Iterator[str]:
    """Compare the JSON, the report and an update of the WebSocket."""
    shown = json.loads(documents.full(snapshot))
    counts = view.counts
    wanted = expected(counts)
    for kind in view.unsure:
        for section, name in UNDER[kind]:
            del (wanted[section] if section else wanted)[name]
    yield from _differences("json", view.header | wanted, shown)
    if view.settled is not None:
        yield from _since(counts, shown)
        at = windows.Moment(shown["ts"], view.settled, shown["since"])
        yield from _differences("json", windows.expected(counts, at), shown)
    if view.gauge:
        yield from custom.of_gauge(counts.newest_custom, shown["custom"])
    yield from _in_flight(counts, shown["orders"]["in_flight"])
    yield from _completeness(view, shown["completeness"])
    yield from _producers(view, shown)
    yield from _connections(counts, shown["connections"]["active"])
    report = json.loads(documents.report_json(snapshot))
    yield from _differences("report", shown, report)
    update = json.loads(b"".join(documents.Sections(snapshot).of(documents.TOPICS)))
    sections = [name for name in documents.SECTIONS.values() if name in shown]
    yield from _differences("update", {name: shown[name] for name in sections}, update)
    markdown = documents.report_markdown(snapshot).decode()
    for status in STATUSES:
        row = f"| {'accepted' if status == 'pending' else status} | {counts.statuses[status]} |"
        if row not in markdown:
            yield f"markdown lacks {row}"


def of_report(stored: Snapshot, snapshot: Snapshot) -> Iterator[str]:
    """Compare the report from what is stored with what is shown, but for what only the process knows."""
    found, shown = (json.loads(documents.report_json(one)) for one in (stored, snapshot))
    for part in (found, shown):
        for name in ("uptime_s", "system"):
            del part[name]
        for name in ("not_understood", "hints"):
            part["completeness"].pop(name, None)
        for producer in part["completeness"]["by_producer"].values():
            producer.pop("last_seen", None)
    yield from _differences("stored report", shown, found)


def _since(counts: Counts, shown: Mapping[str, Any]) -> Iterator[str]:
    """Compare the start of counting: it is known to a commit, and stays what it was."""
    since = shown["since"]
    known = since if counts.since_shown is None else counts.since_shown
    # A clear is stored in milliseconds.
    if abs(since - known) > 0.001 or not counts.since - 0.001 <= since <= shown["ts"]:
        yield f"since is {since}, not {counts.since_shown or counts.since}"
    counts.since_shown = since


def expected(counts: Counts) -> dict[str, Any]:
    """Return what the JSON must hold, where one value is right."""
    total = sum(counts.statuses[status] for status in FINISHED)
    failed = counts.statuses["failed"]
    refusals = sum(count for (_, kind), count in counts.reasons.items() if kind == "refusal")
    reasons: Counter[str] = Counter()
    for (reason, _), count in counts.reasons.items():
        reasons[reason] += count
    products = {product for product, _ in counts.products} | counts.stock.keys() | set(CONFIGURED)
    queues = {queue for queue, _ in counts.queues}
    return {
        "orders": {
            "total": total,
            "by_status": {status: counts.statuses[status] for status in STATUSES},
            "failed_by_reason": dict(reasons),
            "refusals": refusals,
            "faults": failed - refusals,
            "error_rate": {"total": failed / total if total else None},
            "fault_rate": {"total": (failed - refusals) / total if total else None},
            "by_product": {
                product: {name: counts.products[product, name] for name in (*STATUSES, "units")} for product in products
            },
            "revenue": {currency: f"{amount:.6f}" for currency, amount in counts.revenue.items()},
        },
        "queues": {queue: {name: _value(counts.queues.get((queue, name))) for name in FIELDS} for queue in queues},
        "inventory": {product: {"stock": reading.value} for product, reading in counts.stock.items()},
        "custom": custom.expected(counts.custom),
        "latency_ms": _times(counts, "latency"),
        "processing_ms": _times(counts, "processing"),
        "completeness": {
            "received": counts.received.total(),
            "duplicates": counts.duplicates,
            "late": counts.late,
            "repeats": counts.repeats,
            "invalid": counts.invalid.total(),
            "ignored": counts.ignored.total(),
        },
    }


def _value(reading: Any) -> int | None:
    return None if reading is None else reading.value


def _times(counts: Counts, duration: str) -> dict[str, Any]:
    by_status = {status: counts.times.get((duration, status), []) for status in FINISHED}
    return {
        "total": windows.summary([value for values in by_status.values() for value in values]),
        "by_status": {status: windows.summary(values) for status, values in by_status.items()},
    }


def _differences(path: str, wanted: Any, shown: Any) -> Iterator[str]:
    """Compare what is wanted; what is shown besides at these places must be wanted too, but for objects of schema."""
    if isinstance(wanted, dict) and isinstance(shown, dict):
        names = wanted.keys() | (shown.keys() if path.endswith(MAPS) else set())
        for name in sorted(names):
            yield from _differences(f"{path}.{name}", wanted.get(name, "absent"), shown.get(name, "absent"))
    elif not _equal(path, wanted, shown):
        yield f"{path} is {shown!r}, not {wanted!r}"


MAPS = ("failed_by_reason", "by_product", "revenue", "queues", "inventory")


def _equal(path: str, wanted: Any, shown: Any) -> bool:
    if ".revenue." in path and isinstance(shown, str) and isinstance(wanted, str) and "absent" not in (wanted, shown):
        return float(wanted) == float(shown)
    if isinstance(wanted, Near) and isinstance(shown, float | int):
        return isclose(wanted, shown, rel_tol=0.011)
    if isinstance(wanted, float) and isinstance(shown, float | int):
        return isclose(wanted, shown, rel_tol=1e-9)
    return bool(wanted == shown)


def _missed(counts: Counts) -> tuple[int, int]:
    """Return how many are shown as missed at least and at most."""
    bounds = [missed_bounds(counts, source) for source in (PUBSUB, STREAM)]
    recovered = counts.recovered.total()
    least, most = (sum(part) - recovered for part in zip(*bounds, strict=True))
    return 0 if counts.lost + counts.lost_before and counts.missed[STREAM] else least, most


def missed_bounds(counts: Counts, source: str) -> tuple[int, int]:
    """Return how many are missed of a source at least and at most: one loss may be shown by two things."""
    by_numbers = counts.missed[source]
    if source == PUBSUB:
        return by_numbers, by_numbers
    return max(by_numbers - counts.lost_before, counts.lost - counts.missed_before, 0), by_numbers + counts.lost


def _completeness(view: View, shown: Mapping[str, Any]) -> Iterator[str]:
    counts = view.counts
    bounds = [_missed(part) for part in view.parts]
    least, most = (sum(part) for part in zip(*bounds, strict=True))
    if not least <= shown["missed"] <= most:
        yield f"missed is {shown['missed']}, not {least} to {most}"
    received, missed = shown["received"], shown["missed"]
    knows = counts.numbered or counts.received[STREAM] or counts.lost
    if knows or shown["ratio"] is not None:
        ratio = received / (received + missed) if received + missed else None
        if knows and ratio != shown["ratio"]:
            yield f"ratio is {shown['ratio']}, not {ratio}"
        if not knows:
            yield f"ratio is {shown['ratio']} where nothing is known"
    if not counts.rolled_back:
        exact = ("received", "duplicates") if counts.lost + counts.lost_before else ("received", "duplicates", "missed")
        wanted = {name: {key: part[key] for key in exact} for name, part in counts.producers.items()}
        nothing = dict.fromkeys(exact, 0)
        for name in wanted.keys() | shown["by_producer"].keys():
            yield from _differences(
                f"by_producer.{name}", wanted.get(name, nothing), shown["by_producer"].get(name, nothing)
            )


def _producers(view: View, shown: Mapping[str, Any]) -> Iterator[str]:
    """Check what is said of producers and of the last minute by itself: the oracle knows neither."""
    found = shown["completeness"]
    states = Counter(part["state"] for part in found["by_producer"].values())
    counts = found["producers"] or {"alive": 0, "silent": 0}
    if len(view.parts) == 1 and any(states[state] != count for state, count in counts.items()):
        yield f"producers are {counts}, and one by one {dict(states)}"
    for name, part in found["by_producer"].items():
        ahead = (part["last_seen"] or 0.0) - shown["ts"]
        if view.settled is not None and ahead > ID_SECONDS:
            yield f"{name} was last seen {ahead} s ahead"
    minute = found["last_minute"]
    if minute["received"] < 0 or minute["missed"] < 0:
        yield f"the last minute is {minute}"


def _in_flight(counts: Counts, shown: int | None) -> Iterator[str]:
    pending = counts.statuses["pending"]
    decided = sum(counts.statuses.values()) - pending
    if not pending or not counts.mixed:
        wanted = counts.in_flight if pending else None
        if shown != wanted:
            yield f"in_flight is {shown}, not {wanted}"
    elif shown is None or not max(pending - decided, 0) <= shown <= pending:
        yield f"in_flight is {shown}, not from {pending - decided} to {pending}"


def _connections(counts: Counts, shown: int | None) -> Iterator[str]:
    sure = [reading.value for name, reading in counts.connections.items() if name not in counts.perhaps_silent]
    perhaps = [counts.connections[name].value for name in counts.perhaps_silent & counts.connections.keys()]
    wanted: set[int | None] = {sum(sure)} if sure else {None}
    for value in perhaps:
        wanted |= {(total or 0) + value for total in wanted}
    if shown not in wanted:
        yield f"connections are {shown}, not {wanted}"
