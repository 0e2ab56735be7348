"""Run the benchmark: all parts, or one of them; a table on the terminal, and in RESULTS.md."""

import argparse
import sys
import time
from importlib import import_module

from rich.console import Console

from benchmarks import machine
from benchmarks.results import Report, keep, show

PARTS: tuple[str, ...] = ("ingest", "rates", "redis", "commits", "freshness", "scrape", "websocket")
PARTS += ("memory", "products", "startup", "overload", "scaleout")

WIDTH = 150  # of the tables in a log


def main() -> None:
    """Run what the arguments say."""
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--only", choices=PARTS, help="one part (make bench ONLY=ingest)")
    parser.add_argument("--full", action="store_true", help="50 million events, a minute of overload: half an hour")
    given = parser.parse_args()
    if sys.platform != "linux":
        raise SystemExit("The benchmark reads what processes cost from /proc: it runs on Linux only.")
    console = Console() if sys.stdout.isatty() else Console(width=WIDTH)
    ran_on = machine.describe()
    console.print(ran_on, style="dim")
    reports: list[Report] = []
    for part in (given.only,) if given.only else PARTS:
        reports.append(run(part, given.full, console))
        show(reports[-1], console)
        keep(reports[-1:], ran_on)
    rows = [row for report in reports for row in report.rows]
    console.print(f"{sum(row.met for row in rows)} of {len(rows)} goals met; kept in benchmarks/RESULTS.md")


def run(part: str, full: bool, console: Console) -> Report:
    """Run one part; one that cannot be measured here says so and is no reason to stop."""
    module, began = import_module(f"benchmarks.parts.{part}"), time.monotonic()
    with console.status(f"{part} ...") as status:

        def say(text: str) -> None:
            status.update(f"{part}: {text}")
            if not console.is_terminal:
                print(f"{part} {time.monotonic() - began:4.0f} s: {text}", flush=True)

        try:
            report: Report = module.run(say, full)
        except (RuntimeError, OSError, AssertionError) as exc:
            report = Report(module.TITLE)
            report.note(f"Not measured: {exc}")
    report.note(f"This part took {time.monotonic() - began:.0f} s.")
    return report


if __name__ == "__main__":
    main()
