"""`sidecar top`: the sale, live, in a terminal."""

import sys
import time
from typing import TYPE_CHECKING

import click
from msgspec import Struct, field

from sidecar.cli.client.alertmanager import Alertmanager, Alerts
from sidecar.cli.client.readers import Reader, reader
from sidecar.cli.options import Where, forbid_empty, reader_options
from sidecar.cli.view.notes import STATUSES, STYLES, WRONG, Note, notes, wrapped
from sidecar.cli.view.reasons import FailureReasons
from sidecar.cli.view.terminal import count, counted, plain
from sidecar.errors import SidecarError, UnavailableError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

    from sidecar.cli.client.answers import HealthAnswer
    from sidecar.core.snapshot.snapshot import Snapshot

REFRESH_SECONDS = 1.0
# A screen with fewer lines has no empty lines and rules, and one row of times.
ROOMY_LINES = 34
# A screen with fewer lines has no times.
SHORT_LINES = 20
# Lines of a view that is printed once: enough for 20 products and everything else.
PRINTED_LINES = 42
FEWEST_PRODUCTS = 3
# Lines of a note on a roomy screen, and on a smaller one.
NOTE_LINES = (4, 2)
TIMES = (("latency", "10s"), ("latency", "1m"), ("latency", "total"), ("processing", "1m"))


@click.command(short_help="Watch the sale live in the terminal.")
@reader_options
@click.option(
    "--alertmanager",
    metavar="URL",
    envvar="ALERTMANAGER_URL",
    help="Show its firing alerts, as in http://127.0.0.1:9093 [or ALERTMANAGER_URL].",
)
@click.option("--once", is_flag=True, help="Print the view once and exit, as when piped.")
def top(where: Where, alertmanager: str | None, once: bool) -> None:
    """Watch the sale live: what is wrong, why orders fail, rates, percentiles, stock, queue, and what was missed.

    The product that sells out next comes first. Arrows and Page Up/Down scroll; q or Ctrl-C quits.
    """
    from sidecar.cli.view import tables

    forbid_empty({"alertmanager": alertmanager})
    source, console = reader(where), tables.console()
    alerting = Alertmanager(alertmanager) if alertmanager else None
    if once or not sys.stdout.isatty():
        console.print(View.of(source, alerting).drawn(console.width, PRINTED_LINES))
        return
    try:
        _watch(source, alerting, console)
    except KeyboardInterrupt:
        return


def _watch(source: Reader, alerting: Alertmanager | None, console: "Console") -> None:
    """Refresh until `q`; wait for a daemon that stopped, but fail if none ever answered."""
    from rich.live import Live

    from sidecar.cli.view.keys import keys

    view = View.of(source, alerting, keyed=True)
    due = time.monotonic() + REFRESH_SECONDS
    with keys() as pressed, Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            live.update(view.drawn(console.width, console.height), refresh=True)
            for key in pressed(max(0.0, due - time.monotonic())):
                if key in ("q", "Q"):
                    return
                view.scroll(key, console.height)
            if time.monotonic() >= due:
                view.refresh(source, alerting)
                due = time.monotonic() + REFRESH_SECONDS


class View(Struct):
    """A snapshot on the screen, with the daemon's health and the firing alerts, if known.

    `first` is the index of the first product on the screen.
    """

    snapshot: "Snapshot"
    health: "HealthAnswer | None" = None
    alerts: Alerts | None = None
    keyed: bool = False
    problem: str = ""
    first: int = 0
    reasons: FailureReasons = field(default_factory=FailureReasons)

    @classmethod
    def of(cls, source: Reader, alerting: Alertmanager | None, *, keyed: bool = False) -> "View":
        """Read for the first time. Raises `SidecarError` if nothing answers."""
        view = cls(source.snapshot(), keyed=keyed)
        view._read_health(source, alerting)
        return view

    def refresh(self, source: Reader, alerting: Alertmanager | None) -> None:
        """Take the newest snapshot, or note why there is none."""
        try:
            self.snapshot, self.problem = source.snapshot(), ""
        except UnavailableError as exc:
            self.problem = str(exc)
        self._read_health(source, alerting)

    def _read_health(self, source: Reader, alerting: Alertmanager | None) -> None:
        self.health = None if self.problem else _health(source)
        self.alerts = alerting.firing() if alerting else None

    def scroll(self, key: str, height: int) -> None:
        """Scroll the products; `drawn` limits it to the ends."""
        steps = {"up": -1, "k": -1, "down": 1, "j": 1, "page up": -height // 2, "page down": height // 2}
        ends = {"home": 0, "g": 0, "end": sys.maxsize, "G": sys.maxsize}
        self.first = ends[key] if key in ends else self.first + steps.get(key, 0)

    def drawn(self, width: int, height: int) -> "RenderableType":
        """Draw for a screen of `width` columns and `height` lines."""
        from rich.console import Group

        from sidecar.cli.view import tables

        snapshot, roomy = self.snapshot, height >= ROOMY_LINES
        self.reasons.see(snapshot)
        above, below = self._lines(), self._tables(width, height)
        used = sum(tables.lines(part, rule=roomy) for part in (*above, *below)) + 2 + roomy  # with header and last line
        notes = self._notes(width, roomy, max(1, height - used - FEWEST_PRODUCTS))
        names = tables.by_urgency(snapshot)
        rows = max(FEWEST_PRODUCTS, height - used - len(notes))
        self.first = max(0, min(self.first, len(names) - rows))
        shown = names[self.first : self.first + rows]
        products = tables.products(snapshot, shown, width=width, rule=roomy)
        return Group(above[0], *notes, *above[1:], *below, products, self._last(len(names), rows))

    def _lines(self) -> "list[Text]":
        """Draw the single lines: instance and state, sale and producers, reasons, completeness, queues."""
        from sidecar.cli.view import tables

        snapshot = self.snapshot
        state = tables.state(snapshot)
        lines = [_headline(snapshot, self.health), *([state] if state.plain else [])]
        lines += [tables.reasons(snapshot, self.reasons), tables.completeness(snapshot), tables.queue_lengths(snapshot)]
        for line in lines:
            line.no_wrap, line.overflow = True, "ellipsis"
        return lines

    def _tables(self, width: int, height: int) -> "list[RenderableType]":
        """Draw rates and times, as far as they fit."""
        from sidecar.cli.view import tables

        roomy = height >= ROOMY_LINES
        gap: list[RenderableType] = [""] if roomy else []
        found: list[RenderableType] = [*gap, tables.rates(self.snapshot, rule=roomy), *gap]
        if height >= SHORT_LINES:
            times = TIMES if roomy else TIMES[:1]
            found += [tables.times(self.snapshot, times, width=width, rule=roomy), *gap]
        return found

    def _notes(self, width: int, roomy: bool, lines: int) -> "list[Text]":
        """Draw the notes."""
        found = notes(self.snapshot, self.health, self.alerts)
        if self.problem:
            found.insert(0, Note(plain(self.problem), WRONG))
        each = NOTE_LINES[0 if roomy else 1]
        return [_one_line(note.text, note.style) for note in wrapped(found, width=width, each=each, lines=lines)]

    def _last(self, products: int, rows: int) -> "Text":
        """Draw which products are on the screen, and what the keys do."""
        hidden = products > rows
        parts = [f"{self.first + 1} to {min(self.first + rows, products)} of {counted(products, 'product')}"] * hidden
        parts += ["↑ ↓ scroll"] * (hidden and self.keyed) + ["q quits"] * self.keyed
        return _one_line(" · ".join(parts), "dim")


def _health(source: Reader) -> "HealthAnswer | None":
    """Return the health of the daemon, empty if it is unknown: the numbers are shown without it."""
    try:
        return source.health()
    except SidecarError:
        return None


def _headline(snapshot: "Snapshot", health: "HealthAnswer | None") -> "Text":
    orders, active = snapshot.orders, snapshot.connections.active
    line = _one_line(plain(snapshot.instance), "bold").append(f" {plain(snapshot.role)}", "not bold dim")
    if health and health.status in STATUSES:
        line.append(f" {health.status}", STYLES[health.status])
    if snapshot.stale:
        line.append(" STALE", "bold red")
    pace = orders.per_second
    line.append(f"  {count(pace.now)}/s now, peak {count(pace.peak)}", "not bold")
    line.append(f"  {counted(orders.total, 'order')}", "not bold")
    if orders.in_flight is not None:
        line.append(f", {count(orders.in_flight)} in flight", "not bold")
    if active is not None:
        line.append(f"  {counted(active, 'connection')}", "not bold")
    return line


def _one_line(text: str, style: str) -> "Text":
    from rich.text import Text

    return Text(text, style, no_wrap=True, overflow="ellipsis")
