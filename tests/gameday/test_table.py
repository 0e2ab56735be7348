"""A lane is a line, and says what is wrong."""

from rich.console import Console

from tests.gameday.judge import Notice, Played
from tests.gameday.lane import Result
from tests.gameday.samples import Sample
from tests.gameday.scenarios import SCENARIOS
from tests.gameday.table import table, verdict_of

PAGED = Notice(52.0, "firing", "RedisDown", "critical", summary="Redis does not answer")
OVER = Notice(75.0, "resolved", "RedisDown", "critical")


def result(*notices: Notice, name: str = "frozen-30", late_by: float = 0.1, trouble: str = "") -> Result:
    played = Played(notices=notices, fault_at=30.0, recovered_at=60.0, late_by=late_by, trouble=trouble)
    return Result(scenario=SCENARIOS[name], played=played, samples=(Sample(29),))


def printed(*results: Result) -> list[list[str]]:
    """Return the cells of each line below the header."""
    console = Console(width=1000)
    with console.capture() as said:
        console.print(table(results, plain=True))
    lines = [line for line in said.get().splitlines() if line.strip()]
    assert lines[0].split()[1] == "lane"
    return [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines[2:]]


def test_a_good_lane() -> None:
    in_time = result(Notice(42.0, "firing", "RedisDown", "critical"), OVER)
    assert verdict_of(in_time).is_good
    assert printed(in_time) == [
        ["frozen-30", "Redis frozen 30 s", "none", "RedisDown 12.0 s", "15.0 s", "", "", "good"]
    ]


def test_a_bad_lane_says_why() -> None:
    assert printed(result(PAGED, OVER))[0][-1] == "**bad**; late: RedisDown after 22.0 s, at most 15"
    assert printed(result(trouble="it broke"))[0][-2:] == ["RedisDown (critical)", "**bad**; missing; it broke"]


def test_times_of_a_busy_machine_are_not_judged_but_the_rest_is() -> None:
    busy = result(PAGED, OVER, late_by=3.0)
    assert verdict_of(busy).is_good
    assert printed(busy)[0][-1] == "times not judged: 3.0 s late by a busy machine"
    assert not verdict_of(result(late_by=3.0)).is_good


def test_lanes_are_in_the_order_of_the_scenarios() -> None:
    assert [line[0] for line in printed(result(), result(name="sim8"))] == ["sim8", "frozen-30"]
