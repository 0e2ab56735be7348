"""Many lanes side by side, the longest first, as many at once as the machine stands."""

import os
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

Play = Callable[[Scenario, Path, threading.Event, threading.Semaphore], Result]
Progress = Callable[[Sequence[Scenario], Sequence[Result]], None]


def lanes_at_once() -> int:
    """Return how many lanes this machine can run side by side."""
    return PER_CORE * (os.cpu_count() or 1)


class Engine:
    """Plays scenarios, so many at once; `progress` gets who runs and what is done, twice a second."""

    def __init__(self, lanes: int, stop: threading.Event, progress: Progress, *, play: Play = play) -> None:
        """Prepare; once `stop` is set, all end."""
        self._lanes = lanes
        self._stop = stop
        self._progress = progress
        self._play = play
        self._starting = threading.Semaphore(STARTING)

    def play_all(self, scenarios: Sequence[Scenario], folder: Path) -> list[Result]:
        """Play them, each in a folder of its own; after ten minutes all end."""
        deadline = time.monotonic() + LIMIT_SECONDS
        waiting = sorted(scenarios, key=lambda one: -one.lasts)
        running: dict[Future[Result], Scenario] = {}
        results: list[Result] = []
        with ThreadPoolExecutor(self._lanes) as pool:
            while waiting or running:
                for scenario in [waiting.pop(0) for _ in waiting[: self._lanes - len(running)]]:
                    place = folder / scenario.name
                    running[pool.submit(self._play, scenario, place, self._stop, self._starting)] = scenario
                done, _ = wait(running, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
                results += [_result(future, running.pop(future)) for future in done]
                if time.monotonic() > deadline:
                    self._stop.set()
                self._progress(list(running.values()), results)
        return results


def _result(future: "Future[Result]", scenario: Scenario) -> Result:
    """Return what a lane brought home; a lane that failed is trouble of that lane alone."""
    if error := future.exception():
        return Result(scenario=scenario, played=Played(notices=(), trouble=f"{type(error).__name__}: {error}"))
    return future.result()
