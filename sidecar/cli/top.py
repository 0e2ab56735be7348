"""`sidecar top`: the sale, live, in a terminal."""

import sys
import time
from typing import TYPE_CHECKING, Any

import click
from msgspec import Struct

from sidecar.cli.options import Where, reader_options
from sidecar.cli.readers import Reader, reader
from sidecar.cli.terminal import count, counted, plain, seconds, share
from sidecar.errors import UnavailableError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

REFRESH_SECONDS = 1.0
# A screen with fewer lines gets no empty lines and rules, and one row of times.
ROOMY_LINES = 34
# Lines of a view that is printed once: room for 20 products and all else.
PRINTED_LINES = 42
FEWEST_PRODUCTS = 3
TIMES = (("latency", "10s"), ("latency", "1m"), ("latency", "total"), ("processing", "1m"))


@click.command(short_help="Watch the sale live in the terminal.")
@reader_options
@click.option("--once", is_flag=True, help="Print the view once and end, as it also does when piped.")
def top(where: Where, once: bool) -> None:
    """Watch the sale live: rates, percentiles, stock, queue, and what was missed.

    What sells out next comes first. Arrows and Page Up/Down scroll the products; q or Ctrl-C ends it.
    """
    from sidecar.cli import tables

    source, console = reader(where), tables.console()
    if once or not sys.stdout.isatty():
        console.print(View(source.snapshot()).drawn(console.width, PRINTED_LINES))
        return
    try:
        _watch(source, console)
    except KeyboardInterrupt:
        return


def _watch(source: Reader, console: "Console") -> None:
    """Refresh until `q`; wait for a daemon that went away, but fail if none ever answered."""
    from rich.live import Live

    from sidecar.cli.keys import keys

    view = View(source.snapshot(), keyed=True)
    due = time.monotonic() + REFRESH_SECONDS
    with keys() as pressed, Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            live.update(view.drawn(console.width, console.height), refresh=True)
            for key in pressed(max(0.0, due - time.monotonic())):
                if key in ("q", "Q"):
                    return
                view.scroll(key, console.height)
            if time.monotonic() >= due:
                view.refresh(source)
                due = time.monotonic() + REFRESH_SECONDS


class View(Struct):
    """A snapshot as it is shown: `first` is the first product on the screen."""

    document: dict[str, Any]
    keyed: bool = False
    problem: str = ""
    first: int = 0

    def refresh(self, source: Reader) -> None:
        """Take the newest snapshot, or note why there is none."""
        try:
            self.document, self.problem = source.snapshot(), ""
        except UnavailableError as exc:
            self.problem = str(exc)

    def scroll(self, key: str, height: int) -> None:
        """Move through the products; `drawn` stops at the ends."""
        steps = {"up": -1, "k": -1, "down": 1, "j": 1, "page up": -height // 2, "page down": height // 2}
        ends = {"home": 0, "g": 0, "end": sys.maxsize, "G": sys.maxsize}
        self.first = ends[key] if key in ends else self.first + steps.get(key, 0)

    def drawn(self, width: int, height: int) -> "RenderableType":
        """Draw for a screen of so many columns and lines."""
        from rich.console import Group

        from sidecar.cli import tables

        document, roomy = self.document, height >= ROOMY_LINES
        gap = [""] if roomy else []
        times = TIMES if roomy else TIMES[:1]
        complete = tables.completeness(document)
        complete.no_wrap, complete.overflow = True, "ellipsis"
        above: list[RenderableType] = [*self._headlines(), complete, tables.queue_lengths(document)]
        above += [*gap, tables.rates(document, rule=roomy), *gap]
        above += [tables.times(document, times, width=width, rule=roomy), *gap]
        names = tables.by_urgency(document)
        used = sum(tables.lines(part, rule=roomy) for part in above)
        rows = max(FEWEST_PRODUCTS, height - used - 2 - roomy)  # the header, its rule, and the last line
        self.first = max(0, min(self.first, len(names) - rows))
        shown = names[self.first : self.first + rows]
        return Group(*above, tables.products(document, shown, width=width, rule=roomy), self._last(len(names), rows))

    def _headlines(self) -> "list[Text]":
        """Draw the header: instance, state, what sells out next, and what is wrong."""
        from sidecar.core.understanding import HALF

        document, wrong = self.document, "bold red"
        lines = [_headline(document)]
        if self.problem:
            lines.insert(0, _one_line(plain(self.problem), wrong))
        lines += [
            _one_line(_not_understood(plain(name), one), wrong)
            for name, one in document["completeness"].get("not_understood", {}).items()
            if one["share"] >= HALF
        ]
        stocks = document["inventory"].items()
        oversold = sorted(plain(name) for name, one in stocks if one["stock"] < 0)
        if oversold:
            lines.append(_one_line(f"oversold: {', '.join(oversold)}", wrong))
        clock = [(one["sell_out_in_s"], name) for name, one in stocks if one["stock"] > 0]
        if known := [one for one in clock if one[0] is not None]:
            left, name = min(known)
            lines.append(_one_line(f"next to sell out: {plain(name)} in {seconds(left)}", "yellow"))
        return lines

    def _last(self, products: int, rows: int) -> "Text":
        """Draw which products are on the screen, and what the keys do."""
        hidden = products > rows
        parts = [f"{self.first + 1} to {min(self.first + rows, products)} of {counted(products, 'product')}"] * hidden
        parts += ["↑ ↓ scroll"] * (hidden and self.keyed) + ["q ends"] * self.keyed
        return _one_line(" · ".join(parts), "dim")


def _headline(document: dict[str, Any]) -> "Text":
    orders, active = document["orders"], document["connections"]["active"]
    line = _one_line(plain(document["instance"]), "bold").append(f" {plain(document['role'])}", "not bold dim")
    if document["stale"]:
        line.append(" STALE", "bold red")
    pace = orders["per_second"]
    line.append(f"  {count(pace['now'])}/s now, peak {count(pace['peak'])}", "not bold")
    line.append(f"  {counted(orders['total'], 'order')}", "not bold")
    if orders["in_flight"] is not None:
        line.append(f", {count(orders['in_flight'])} in flight", "not bold")
    if active is not None:
        line.append(f"  {counted(active, 'connection')}", "not bold")
    return line


def _not_understood(source: str, found: dict[str, Any]) -> str:
    most = f"ignored as type {found['type']}"
    if found["refused"] >= found["ignored"]:
        most = f"rejected as {found['reason']} ({found['detail']})"
    return f"{source}: {share(found['share'])} of the last minute is not understood, most {plain(most)}"


def _one_line(text: str, style: str) -> "Text":
    from rich.text import Text

    return Text(text, style, no_wrap=True, overflow="ellipsis")
