"""What an operator must read: firing alerts, health problems, what sells out next. The worst comes first."""

import textwrap
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from msgspec import Struct

from sidecar.cli.client.alertmanager import Alert, Alerts
from sidecar.cli.view.terminal import count, plain, seconds, share

if TYPE_CHECKING:
    from sidecar.cli.client.answers import HealthAnswer
    from sidecar.core.snapshot.snapshot import Snapshot

WRONG, WARNING, NEWS = "bold red", "yellow", "dim"
STYLES = {"critical": WRONG, "warning": WARNING, "down": WRONG, "degraded": WARNING}
STATUSES = ("down", "degraded")  # others, such as standby, are no problem


class Note(Struct, frozen=True):
    """A sentence, and its style."""

    text: str
    style: str = ""


def notes(snapshot: "Snapshot", health: "HealthAnswer | None", alerts: Alerts | None) -> list[Note]:
    """Return the notes; `health` is `None` if unknown, `alerts` is `None` without an Alertmanager."""
    firing = list(_firing(alerts)) if alerts else []
    critical = [note for note in firing if note.style == WRONG]
    others = [note for note in firing if note.style != WRONG]
    unhealthy = list(_health(health)) if health else list(_not_understood(snapshot))
    return [*critical, *unhealthy, *_oversold(snapshot), *_budgets(snapshot), *others, *_next_to_sell_out(snapshot)]


def wrapped(found: list[Note], *, width: int, each: int, lines: int) -> list[Note]:
    """Wrap notes to `each` lines at most, and `lines` in all; the last line says how many are left out."""
    blocks = [
        [Note(line, note.style) for line in textwrap.wrap(note.text, width, max_lines=each, placeholder=" …")]
        for note in found
    ]
    shown: list[Note] = []
    for left, block in zip(range(len(blocks), 0, -1), blocks, strict=True):
        room = lines - len(shown) - (left > 1)  # keep a line to count the others
        if room < 1:
            return [*shown, Note(f"… and {left} more", NEWS)][:lines]
        if len(block) > room:
            cut = " ".join(line.text for line in block)
            block = [Note(one, block[0].style) for one in textwrap.wrap(cut, width, max_lines=room, placeholder=" …")]
        shown += block
    return shown


def _firing(alerts: Alerts) -> Iterator[Note]:
    if alerts.problem:
        yield Note(plain(f"alerts unknown: {alerts.problem}"), WARNING)
    elif not alerts.firing:
        yield Note("no alert fires", NEWS)
    for alert in alerts.firing:
        yield Note(plain(_alert(alert)), STYLES.get(alert.severity, ""))


def _alert(alert: Alert) -> str:
    times = f" x{alert.number}" if alert.number > 1 else ""
    lasted = seconds(max(0.0, time.time() - alert.since))
    return f"{alert.severity or 'alert'} {alert.name}{times}, {lasted}: {alert.summary}"


def _health(health: "HealthAnswer") -> Iterator[Note]:
    """Name the unhealthy parts, those with the same detail together: an outage is one problem."""
    said: dict[str, tuple[str, list[str]]] = {}
    for status in STATUSES:
        for name, part in health.components.items():
            if part.status == status:
                said.setdefault(part.detail or "no detail", (status, []))[1].append(name)
    for detail, (status, names) in said.items():
        yield Note(plain(f"{', '.join(names)} {status}: {detail}"), STYLES[status])


def _not_understood(snapshot: "Snapshot") -> Iterator[Note]:
    """Note what health would, where health is unknown."""
    from sidecar.core.counts.understanding import HALF

    for name, one in snapshot.completeness.not_understood.items():
        most = f"ignored as type {one.type}"
        if one.refused >= one.ignored:
            most = f"rejected as {one.reason} ({one.detail})"
        if one.share >= HALF:
            yield Note(plain(f"{name}: {share(one.share)} of the last minute is not understood, most {most}"), WRONG)


def _oversold(snapshot: "Snapshot") -> Iterator[Note]:
    if names := sorted(plain(name) for name, one in snapshot.inventory.items() if one.stock < 0):
        yield Note(f"oversold: {', '.join(names)}", WRONG)


def _budgets(snapshot: "Snapshot") -> Iterator[Note]:
    for name, one in snapshot.slo.items():
        if one.state != "ok":
            left = f"{count(one.left)} more bad orders are allowed" if one.left > 0 else "the error budget is gone"
            text = f"{plain(name)} burns {one.burn['10s']:.1f} times too fast: {left}"
            yield Note(text, WRONG if one.state == "page" else WARNING)


def _next_to_sell_out(snapshot: "Snapshot") -> Iterator[Note]:
    clock = [(one.sell_out_in_s, name) for name, one in snapshot.inventory.items() if one.stock > 0]
    if known := [one for one in clock if one[0] is not None]:
        left, name = min(known)
        yield Note(f"next to sell out: {plain(name)} in {seconds(left)}", WARNING)
