"""Many lanes side by side, the longest first, as many at once as the machine stands."""

import os
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

from tests.gameday.judge import Played
from tests.gameday.lane import Result, play
from tests.gameday.scenario import Scenario

LIMIT_SECONDS = 600.0
STARTING = 2  # a start takes some seconds of a core; many at once would disturb those that run
PER_CORE = 6
POLL_SECONDS = 0.5


def lanes_at_once() -> int:
    """Return how many lanes this machine can run side by side."""
    return PER_CORE * (os.cpu_count() or 1)


def play_all(
    scenarios: Sequence[Scenario],
    lanes: int,
    stop: threading.Event,
    progress: Callable[[Sequence[Scenario], Sequence[Result]], None],
    logs: Path | None = None,
) -> list[Result]:
    """Play them; `progress` gets who runs and what is done. After ten minutes, or once `stop` is set, all end."""
    deadline = time.monotonic() + LIMIT_SECONDS
    starting = threading.Semaphore(STARTING)
    waiting = sorted(scenarios, key=lambda one: -one.lasts)
    running: dict[Future[Result], Scenario] = {}
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="gameday-") as temporary, ThreadPoolExecutor(lanes) as pool:
        while waiting or running:
            while waiting and len(running) < lanes:
                scenario = waiting.pop(0)
                folder = (logs or Path(temporary)) / scenario.name
                running[pool.submit(play, scenario, folder, stop, starting)] = scenario
            done, _ = wait(running, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
            results += [_result(future, running.pop(future)) for future in done]
            if time.monotonic() > deadline:
                stop.set()
            progress(list(running.values()), results)
    return results


def _result(future: "Future[Result]", scenario: Scenario) -> Result:
    """Return what a lane brought home; a lane that failed is trouble of that lane alone."""
    if error := future.exception():
        return Result(scenario=scenario, played=Played(notices=(), trouble=f"{type(error).__name__}: {error}"))
    return future.result()
