"""What a run measured of each guarantee (docs/guarantees.md): tests tell it, and the end of the run prints it.

A test takes the fixture `guarantee` and says `guarantee("G1", "100 kills, 51,234 events, difference 0")`. How long
it took and whether it passed is added here. With GUARANTEES_FILE=name.json the lines are kept there, too.
"""

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet
from msgspec import Struct, to_builtins

PROPERTY = "guarantee"  # pytest carries a test's properties from the processes that run it to the one that reports
FILE_VARIABLE = "GUARANTEES_FILE"


class Line(Struct, frozen=True):
    """One figure; `seconds` is how long its test took."""

    name: str
    figure: str
    seconds: float
    passed: bool
    test: str

    def __str__(self) -> str:
        verdict = "" if self.passed else "FAILED: "
        return f"{self.name:<4} {verdict}{self.figure} ({self.seconds:.0f} s)"


def sizes(bounded: int, campaign: int, long: int) -> list[ParameterSet]:
    """Return the parameters of one test: `make test` runs the first, `make campaign` the second, `make test-long`
    the third."""
    hours = pytest.mark.timeout(7200)
    return [
        pytest.param(bounded),
        pytest.param(campaign, marks=[pytest.mark.campaign, pytest.mark.timeout(900)]),
        pytest.param(long, marks=[pytest.mark.long, hours]),
    ]


def in_campaign(*values: object) -> list[ParameterSet]:
    """Return parameters that `make campaign` runs, and `make test` does not; a tuple is one of several parameters."""
    return [
        pytest.param(*(value if isinstance(value, tuple) else (value,)), marks=pytest.mark.campaign) for value in values
    ]


def lines(reports: Iterable[object]) -> list[Line]:
    """Return what the tests of these reports told, by guarantee."""
    found = [
        Line(name, figure, report.duration, report.passed, report.nodeid)
        for report in reports
        if isinstance(report, pytest.TestReport) and report.when == "call"
        for key, (name, figure) in _told(report)
        if key == PROPERTY
    ]
    return sorted(found, key=lambda line: (int(re.sub(r"\D", "", line.name) or 0), line.test))


def _told(report: pytest.TestReport) -> Iterable[tuple[str, tuple[str, str]]]:
    return ((key, value) for key, value in report.user_properties if key == PROPERTY)  # type: ignore[misc]


def keep(found: list[Line]) -> None:
    """Write the lines where GUARANTEES_FILE says, if it does."""
    if name := os.environ.get(FILE_VARIABLE):
        Path(name).write_text(json.dumps(to_builtins(found), indent=1) + "\n")
