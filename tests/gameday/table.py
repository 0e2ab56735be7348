"""What is printed: a line for each lane, in the order of the scenarios."""

from collections.abc import Sequence

from rich import box
from rich.table import Table

from tests.gameday.judge import Verdict, judge
from tests.gameday.lane import Result
from tests.gameday.samples import first_sign
from tests.gameday.scenarios import SCENARIOS

COLUMNS = ("lane", "what was done", "first sign", "page", "resolved", "false", "missing", "verdict")
BUSY_SECONDS = 2.0  # an error of that size in times that are judged by 15 s


def verdict_of(result: Result) -> Verdict:
    """Judge a lane; times of a machine that was too busy to take them are not."""
    verdict = judge(result.played, result.scenario.pages, result.scenario.allowed)
    if is_busy(result):
        verdict.late.clear()
    return verdict


def is_busy(result: Result) -> bool:
    """Tell whether the machine was too busy for times to be judged."""
    return result.played.late_by > BUSY_SECONDS


def table(results: Sequence[Result], *, plain: bool) -> Table:
    """Make the table; plain is Markdown."""
    made = Table(*COLUMNS, box=box.MARKDOWN if plain else box.SIMPLE_HEAD)
    places = list(SCENARIOS)
    for result in sorted(results, key=lambda one: places.index(one.scenario.name)):
        made.add_row(*_row(result, verdict_of(result)))
    return made


def _row(result: Result, verdict: Verdict) -> list[str]:
    return [
        result.scenario.name,
        result.scenario.what,
        _first_sign(result),
        _lines(verdict.pages),
        _lines(verdict.resolved),
        _lines(verdict.false),
        _lines(verdict.missing),
        _judged(result, verdict),
    ]


def _first_sign(result: Result) -> str:
    if result.played.fault_at is None:
        return ""
    found = first_sign(result.samples, result.played.fault_at)
    return f"{found[0]:.1f} s {found[1]}" if found else "none"


def _judged(result: Result, verdict: Verdict) -> str:
    parts = [] if verdict.is_good else ["**bad**"]
    parts += [f"{len(verdict.false)} false"] if verdict.false else []
    parts += ["missing"] if verdict.missing else []
    parts += [f"late: {one}" for one in verdict.late]
    parts += verdict.wrong
    if is_busy(result):
        parts.append(f"times not judged: {result.played.late_by:.1f} s late by a busy machine")
    return "; ".join(parts) or "good"


def _lines(found: Sequence[str]) -> str:
    return "; ".join(found)
