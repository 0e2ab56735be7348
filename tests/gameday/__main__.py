"""Play the game day: python -m tests.gameday, or `make gameday`."""

import argparse
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from monitoring.native.__main__ import missing_programs
from tests.gameday.engine import LIMIT_SECONDS, Engine, lanes_at_once
from tests.gameday.lane import Result
from tests.gameday.scenario import Scenario
from tests.gameday.scenarios import SCENARIOS, SHORT
from tests.gameday.table import table, verdict_of

PLAIN_COLUMNS = 4000  # in a pipe, a lane is one line


def main() -> int:
    """Play what was asked for; 1 if a page was false, missing or late, or a count was wrong."""
    options = read_arguments()
    if trouble := missing_programs():
        print(trouble, file=sys.stderr)
        return 1
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    console = Console() if sys.stdout.isatty() else Console(width=PLAIN_COLUMNS)
    chosen = [SCENARIOS[name] for name in options.names or (SHORT if options.short else SCENARIOS)]
    began = time.monotonic()
    progress = Progress(len(chosen), began)
    with tempfile.TemporaryDirectory(prefix="gameday-") as temporary:
        engine = Engine(options.lanes, stop, progress.show)
        results = engine.play_all(chosen, options.folder or Path(temporary))
    progress.close()
    with console.capture() as printed:
        console.print(table(results, plain=not console.is_terminal))
    print("\n".join(line.rstrip() for line in printed.get().splitlines() if line.strip()))
    good = sum(verdict_of(result).is_good for result in results)
    seconds = time.monotonic() - began
    console.print(f"{good} of {len(chosen)} lanes are good; {seconds:.0f} s, {options.lanes} lanes at once.")
    return 0 if good == len(chosen) else 1


class Progress:
    """One line on a terminal that says who runs; nothing in a pipe."""

    def __init__(self, count: int, began: float) -> None:
        self._count = count
        self._began = began
        self._shown = sys.stderr.isatty()

    def show(self, running: Sequence[Scenario], done: Sequence[Result]) -> None:
        """Show it."""
        if self._shown:
            seconds = time.monotonic() - self._began
            names = " ".join(one.name for one in running)
            line = f"{seconds:3.0f} of at most {LIMIT_SECONDS:.0f} s, {len(done)} of {self._count} done: {names}"
            print(f"\r\x1b[K{line[:150]}", end="", file=sys.stderr, flush=True)

    def close(self) -> None:
        """Take it away."""
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def read_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.gameday", description="Play the game day.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one or more of {', '.join(SCENARIOS)}; all if none")
    parser.add_argument("--short", action="store_true", help=f"only {', '.join(SHORT)}")
    parser.add_argument("--lanes", type=int, default=lanes_at_once(), help="how many at once [%(default)s]")
    parser.add_argument("--folder", type=Path, help="for data and logs, kept; a temporary one if not given")
    options = parser.parse_args()
    for name in options.names:
        if name not in SCENARIOS:
            parser.error(f"there is no {name}: it is one of {', '.join(SCENARIOS)}")
    return options


if __name__ == "__main__":
    sys.exit(main())
