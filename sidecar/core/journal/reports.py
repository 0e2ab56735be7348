"""The report that a recording holds, and how two reports differ."""

from collections.abc import Iterator
from typing import Any

import msgspec

from sidecar.core.counts.rules import Rules
from sidecar.core.counts.state import State
from sidecar.core.snapshot.compute import SnapshotContext, as_committed
from sidecar.core.snapshot.report import report
from sidecar.core.snapshot.snapshot import Snapshot

OF_THE_PROCESS = ("instance", "uptime_s", "system", "stale")  # differ in reports of one commit

Difference = tuple[str, Any, Any]  # where, and both values


def snapshot_of(state: State, rules: Rules, instance: str = "") -> Snapshot:
    """Return the Snapshot of a state as of its last commit."""
    context = SnapshotContext(
        instance=instance, now=0.0, committed_at=None, stale=False, uptime_s=0.0, settled=rules.commit_interval
    )
    return as_committed(state, rules, context)


def report_of(state: State, rules: Rules) -> bytes:
    """Return the JSON of the report of a state as of its last commit."""
    return msgspec.json.encode(report(snapshot_of(state, rules)))


def differences(recorded: Any, replayed: Any) -> list[Difference]:
    """Compare two reports, but for what a process says of itself."""
    return list(_walk("", *({**one, **dict.fromkeys(OF_THE_PROCESS)} for one in (recorded, replayed))))


def _walk(where: str, one: Any, other: Any) -> Iterator[Difference]:
    if isinstance(one, dict) and isinstance(other, dict):
        for name in sorted(one.keys() | other.keys()):
            yield from _walk(f"{where}.{name}" if where else name, one.get(name), other.get(name))
    elif one != other:
        yield where, one, other
