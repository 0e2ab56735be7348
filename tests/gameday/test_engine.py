"""Many lanes run side by side, and what happens to one is no matter of the others."""

import threading
from collections.abc import Sequence
from pathlib import Path

from tests.gameday.engine import Engine
from tests.gameday.judge import Played
from tests.gameday.lane import Result
from tests.gameday.scenario import Scenario
from tests.gameday.scenarios import SCENARIOS

CHOSEN = [SCENARIOS[name] for name in ("frozen-10", "loss-again", "oversold")]


def played(scenario: Scenario) -> Result:
    return Result(scenario=scenario, played=Played(notices=()))


def test_each_is_played_once_in_a_folder_of_its_own_the_longest_first(tmp_path: Path) -> None:
    begun: list[Path] = []

    def play(scenario: Scenario, folder: Path, *_: object) -> Result:
        begun.append(folder)
        return played(scenario)

    results = Engine(1, threading.Event(), nothing, play=play).play_all(CHOSEN, tmp_path)
    assert begun == [tmp_path / name for name in ("loss-again", "oversold", "frozen-10")]
    assert {one.scenario.name for one in results} == {one.name for one in CHOSEN}


def test_as_many_as_were_asked_for_run_at_once_and_are_told(tmp_path: Path) -> None:
    both, told = threading.Barrier(2), list[set[str]]()

    def play(scenario: Scenario, *_: object) -> Result:
        if scenario.name != "frozen-10":
            both.wait(10)
        return played(scenario)

    def progress(running: Sequence[Scenario], done: Sequence[Result]) -> None:
        told.append({one.name for one in running} | {one.scenario.name for one in done})

    assert len(Engine(2, threading.Event(), progress, play=play).play_all(CHOSEN, tmp_path)) == 3
    assert told[0] >= {"loss-again", "oversold"}
    assert len(told[-1]) == 3


def test_a_lane_that_fails_is_trouble_of_that_lane_alone(tmp_path: Path) -> None:
    def play(scenario: Scenario, *_: object) -> Result:
        assert scenario.name != "oversold", "no stock"
        return played(scenario)

    results = Engine(3, threading.Event(), nothing, play=play).play_all(CHOSEN, tmp_path)
    troubles = {one.scenario.name: one.played.trouble for one in results}
    assert troubles.pop("oversold").startswith("AssertionError: no stock")
    assert set(troubles.values()) == {""}


def nothing(*_: object) -> None:
    """Show no progress."""
