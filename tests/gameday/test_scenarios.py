"""The table of scenarios holds together."""

import re

import pytest
import yaml

from tests.gameday.scenario import FAULT, RECOVERY, Scenario
from tests.gameday.scenarios import SCENARIOS, SECTIONS, SHORT
from tests.stack.alerting import MONITORING

LONGEST_SECONDS, SHORT_SECONDS = 200, 130
ALERTS = {
    (rule["alert"], rule["labels"]["severity"])
    for path in (MONITORING / "rules").glob("*.yml")
    for group in yaml.load(path.read_text(), yaml.CSafeLoader)["groups"]
    for rule in group["rules"]
    if "alert" in rule
}


def test_names_are_unique() -> None:
    assert len(SCENARIOS) == sum(map(len, SECTIONS.values()))


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
def test_a_scenario_can_be_played_and_judged(scenario: Scenario) -> None:
    assert scenario.lasts <= (SHORT_SECONDS if scenario.name in SHORT else LONGEST_SECONDS)
    marks = scenario.marked(FAULT), scenario.marked(RECOVERY)
    assert (marks[0] is None) == (marks[1] is None)
    if scenario.pages:
        assert marks[0] is not None and marks[1] is not None
        assert 30 <= marks[0] < marks[1]


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
def test_the_rules_know_every_page_that_is_named(scenario: Scenario) -> None:
    for page in (*scenario.pages, *scenario.allowed):
        for name in page.alert.split("|"):
            assert any(name == alert and re.fullmatch(page.severity, severity) for alert, severity in ALERTS), name
