"""What an operator must read, the worst first, on as many lines as there are."""

import time

import pytest
from msgspec.structs import replace

from sidecar.cli.client.alertmanager import Alert, Alerts
from sidecar.cli.client.answers import HealthAnswer, PartAnswer
from sidecar.cli.view.notes import Note, notes, wrapped
from tests.cli.test_top import document, taken
from tests.exposition.snapshots import BUDGET, snapshot

HEALTH = HealthAnswer(
    "degraded",
    {
        "redis": PartAnswer("ok", "Redis 7.0.15"),
        "producers": PartAnswer("degraded", "api-1 is silent for 12 s"),
        "commit": PartAnswer("down", "MISCONF"),
        "influx": PartAnswer("degraded", "MISCONF"),
        "stream:x": PartAnswer("degraded"),
    },
)


def test_what_pages_comes_before_what_is_not_well_and_news_come_last() -> None:
    now = time.time()
    alerts = Alerts(
        (
            Alert("RedisDown", "critical", 1, now - 65, "Redis does not answer"),
            Alert("StockRunningOut", "info", 43, now - 5, "a is sold out in 30 s"),
        )
    )
    found = notes(taken(document(a=(-1, None), b=(5, 9.0))), HEALTH, alerts)
    assert [note.text for note in found] == [
        "critical RedisDown, 1 min 5 s: Redis does not answer",
        "commit, influx down: MISCONF",
        "producers degraded: api-1 is silent for 12 s",
        "stream:x degraded: no detail",
        "oversold: a",
        "info StockRunningOut x43, 5 s: a is sold out in 30 s",
        "next to sell out: b in 9 s",
    ]


@pytest.mark.parametrize(
    ("alerts", "told"),
    [
        (None, []),
        (Alerts(), ["no alert fires"]),
        (Alerts(problem="no Alertmanager answers"), ["alerts unknown: no Alertmanager answers"]),
    ],
)
def test_no_alert_is_not_the_same_as_nobody_knows(alerts: Alerts | None, told: list[str]) -> None:
    assert [note.text for note in notes(snapshot(inventory={}), HealthAnswer("ok", {}), alerts)] == told


def test_what_comes_from_outside_cannot_steer_the_terminal() -> None:
    health = HealthAnswer("down", {"stream:\x1b[2J": PartAnswer("down", "\x1b[1m")})
    alerts = Alerts((Alert("\x1b", "\x1b", 1, 0.0, "\x1b"),))
    assert not any("\x1b" in note.text for note in notes(snapshot(), health, alerts))


@pytest.mark.parametrize(
    ("lines", "shown"),
    [
        (9, ["one two", "three", "four five", "six", "seven"]),
        (4, ["one two", "three", "four five …", "seven"]),
        (3, ["one two", "three", "… and 2 more"]),
        (2, ["one two …", "… and 2 more"]),
        (1, ["… and 3 more"]),
    ],
)
def test_what_does_not_fit_is_counted(lines: int, shown: list[str]) -> None:
    found = [Note("one two three"), Note("four five six"), Note("seven")]
    assert [note.text for note in wrapped(found, width=12, each=2, lines=lines)] == shown


@pytest.mark.parametrize(
    ("left", "state", "text"),
    [
        (18.0, "page", "orders burns 3.2 times too fast: 18.0 more bad orders are allowed"),
        (-2.0, "warning", "orders burns 3.2 times too fast: the error budget is gone"),
    ],
)
def test_an_error_budget_that_burns_is_told_in_orders(left: float, state: str, text: str) -> None:
    budget = replace(BUDGET, left=left, state=state)
    assert text in [note.text for note in notes(snapshot(slo={"orders": budget}), None, None)]
    assert notes(snapshot(inventory={}, slo={"orders": replace(BUDGET, state="ok")}), None, None) == []
