"""Colours against alerts: a sale is staged on the programs of the native stack, and every panel that can be green is
looked up by the second, as Grafana would colour it. Green is a verdict: it is wrong while an alert says otherwise.
"""

import json
import math
import re
import threading
import time
import urllib.parse
import urllib.request
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from monitoring.native.layout import PACKAGES
from tests.gameday import actions as do
from tests.gameday.actions import Action, Stage
from tests.gameday.lane import play
from tests.gameday.scenario import Scenario, at
from tests.gameday.scenarios import ALL, QUIET, RUSH
from tests.gameday.stack import PRIMARY
from tests.stack.dashboards import NAMES, panels, read

# Which alerts are about a panel.
BLIND = "SidecarDown|NoSidecarCounting|NumbersStale|SourceDisconnected|RedisDown|RedisRefusesWrites"
STOPPED = "ThroughputCollapsed|HalfOfProducersSilent"
ABOUT = {
    "Business: Is the system keeping up?": ".*",
    "Business: Orders": f"OrderFaultRateHigh|Oversold|{STOPPED}|{BLIND}",
    "Business: Customers wait": f"OrderLatencyHigh|{STOPPED}|{BLIND}",
    "Business: Queue": f"ThroughputCollapsed|{BLIND}",
    "Business: These numbers": f"CompletenessBelowOne|EventsCountedTwice|{BLIND}",
    "Business: Alarms": ".*",
    "Flash Sale: Error rate": "OrderFaultRateHigh",
    "Flash Sale: Completeness": "CompletenessBelowOne",
    "Flash Sale: Alerts firing": ".*",
    "Flash Sale: Current queue length": "QueueBacklogGrowing",
    "Flash Sale: Time to drain the queue": "QueueBacklogGrowing|ThroughputCollapsed",
    "Flash Sale: Latency now, median": "",
    "Flash Sale: Latency now, p95": "",
    "Flash Sale: Latency now, p99": "OrderLatencyHigh",
    "Flash Sale: Latency now, p99.9": "OrderLatencyHigh",
    "Flash Sale: Oversold": "Oversold",
    "Sidecar: Role": "SidecarDown|NoSidecarCounting",
    "Sidecar: Redis": "RedisDown|RedisRefusesWrites",
    "Sidecar: Sources": "SourceDisconnected|RedisDown",
    "Sidecar: Age of the numbers": "NumbersStale|NoSidecarCounting|RedisDown|RedisRefusesWrites",
    "Sidecar: Completeness": "CompletenessBelowOne",
    "Sidecar: Alerts firing": ".*",
    "Sidecar: Streams replaced": "CommitsRolledBack",
    "Sidecar: Label overflow": "",
    "Infrastructure: Alerts firing": ".*",
    "Infrastructure: Redis answers": "RedisServerDown|RedisDown",
    "Infrastructure: Memory of its limit": "RedisMemoryHigh",
}
# No sale shows there: how busy this machine is.
MACHINES = {f"Infrastructure: {title}" for title in ("CPU busy", "Memory in use", "Fullest disk", "Load per core")}
JUDGED = {
    f"{read(name)['title']}: {panel['title']}": panel
    for name in NAMES
    for panel in panels(name)
    if '"green"' in json.dumps([panel["fieldConfig"]["defaults"].get(key) for key in ("thresholds", "mappings")])
}
VARIABLES = {
    "environment": ".*",
    "instance": ".*",
    "product": ".*",
    "redis": ".*",
    "node": ".*",
    "__rate_interval": "20s",
}
VARIABLES["__range"] = "900s"  # of 15 minutes, with a scrape interval of 5 s in the data source, as provisioned
FIRING = 'ALERTS{alertstate="firing",severity=~"critical|warning"}'
HEALTHY = ("idle", "rush", "sold out", "after")

Point = tuple[float, float]


@dataclass
class Seen:
    """What is read of Prometheus while it still runs, by the second; `states` has when each state began."""

    states: dict[str, float] = field(default_factory=dict)
    series: dict[str, list[tuple[dict[str, str], list[Point]]]] = field(default_factory=dict)
    until: float = 0.0

    def enter(self, state: str, *actions: Action) -> Action:
        """Return a step that begins a state."""

        def act(stage: Stage) -> None:
            self.states[state] = time.time()
            for one in actions:
                one(stage)

        return act

    def look(self, stop: threading.Event) -> Action:
        """Return the last step: read every query, and end."""

        def act(stage: Stage) -> None:
            self.until = time.time()
            queries = {target["expr"] for panel in JUDGED.values() for target in panel["targets"]}
            for query in {*queries, FIRING}:
                self.series[query] = self._read(stage.stack.ports.prometheus, query)
            stop.set()

        return act

    def _read(self, port: int, query: str) -> list[tuple[dict[str, str], list[Point]]]:
        text = re.sub(r"\$(\w+)", lambda name: VARIABLES[name[1]], query)
        asked = {"query": text, "start": min(self.states.values()), "end": self.until, "step": 1}
        url = f"http://127.0.0.1:{port}/api/v1/query_range?{urllib.parse.urlencode(asked)}"
        with urllib.request.urlopen(url, timeout=20) as answer:
            found = json.load(answer)["data"]["result"]
        return [(one["metric"], [(at, float(value)) for at, value in one["values"]]) for one in found]

    def moments(self) -> list[float]:
        """Return the seconds in which something was looked up."""
        began = min(self.states.values())
        return [began + second for second in range(int(self.until - began))]

    def state(self, moment: float) -> str:
        """Return the state that was staged then."""
        return max((began, name) for name, began in self.states.items() if began <= moment)[1]

    def firing(self, moment: float) -> set[str]:
        """Return the alerts that fired."""
        return {
            labels["alertname"]
            for labels, points in self.series[FIRING]
            if any(abs(when - moment) < 0.5 for when, _ in points)
        }

    def values(self, target: dict[str, Any], moment: float) -> list[float]:
        """Return what a query showed: of one over a range the last value, however old."""
        found = []
        for _, points in self.series[target["expr"]]:
            known = [value for when, value in points if when < moment + 0.5 and not math.isnan(value)]
            fresh = any(abs(when - moment) < 0.5 for when, _ in points)
            if known and (fresh or not target.get("instant")):
                found.append(known[-1])
        return found


def colours(panel: dict[str, Any], seen: Seen, moment: float) -> set[str]:
    """Return the colours of a panel, as Grafana chooses them; nothing at all has one, too."""
    found = set()
    for target in panel["targets"]:
        config = panel["fieldConfig"]["defaults"] | overridden(panel, target["refId"])
        found |= {colour(config, value) for value in seen.values(target, moment)}
    return found or {colour(panel["fieldConfig"]["defaults"], None)}


def overridden(panel: dict[str, Any], query: str) -> dict[str, Any]:
    """Return what the series of one query have of their own."""
    matcher = {"id": "byFrameRefID", "options": query}
    matching = [one["properties"] for one in panel["fieldConfig"]["overrides"] if one["matcher"] == matcher]
    return {one["id"]: one["value"] for properties in matching for one in properties}


def colour(config: dict[str, Any], value: float | None) -> str:
    """Return the colour of a value: a mapping has the first word, then thresholds; their first is that of nothing."""
    if (fixed := config.get("color", {})).get("mode") == "fixed" and value is not None:
        return str(fixed["fixedColor"])
    for mapping in config.get("mappings") or ():
        options = mapping["options"]
        if mapping["type"] == "special":
            if value is None and options["match"] in ("null", "null+nan"):
                return str(options["result"]["color"])
        elif value is not None and (mapped := options.get(f"{value:g}")):
            return str(mapped["color"])
    steps = config["thresholds"]["steps"]
    reached = [step for step in steps[1:] if value is not None and value >= step["value"]]
    return str((reached or steps)[-1 if reached else 0]["color"])


def test_what_can_be_green_is_known() -> None:
    """A number that nobody judges is not green."""
    assert set(JUDGED) == {*ABOUT, *MACHINES}


@pytest.mark.campaign
@pytest.mark.timeout(300)  # a busy machine; a quiet one needs one minute
@pytest.mark.needs(*PACKAGES)
def test_nothing_is_green_that_an_alert_is_about_and_nothing_red_in_a_healthy_sale(tmp_path: Path) -> None:
    seen, stop = Seen(), threading.Event()
    steps = (
        at(0, seen.enter("idle")),
        at(3, seen.enter("rush", RUSH)),
        at(13, seen.enter("sold out", *(do.stock(f"sku-{number}", 0) for number in range(1, 9)))),
        at(19, seen.enter("after", QUIET)),
        at(23, seen.enter("again", RUSH, *(do.stock(f"sku-{number}", 2000) for number in range(1, 9)))),
        at(26, seen.enter("backend dead", do.die(*ALL))),
        at(40, seen.enter("Redis down", do.freeze(PRIMARY))),
        at(53, seen.look(stop)),
    )
    play(Scenario(name="verdicts", what="", steps=steps), tmp_path, stop, threading.Semaphore())
    assert seen.until, "it was not played to its end"
    wrong: dict[str, list[str]] = defaultdict(list)
    fired: dict[str, set[str]] = defaultdict(set)
    for moment in seen.moments():
        state, firing = seen.state(moment), seen.firing(moment)
        fired[state] |= firing
        for name, about in ABOUT.items():
            shown = colours(JUDGED[name], seen, moment)
            if "green" in shown and (lies := {one for one in firing if re.fullmatch(about, one)}):
                wrong[f"{state}: {name} is green beside {sorted(lies)}"].append(f"{moment - seen.moments()[0]:.0f} s")
            if "red" in shown and state in HEALTHY:
                wrong[f"{state}: {name} is red"].append(f"{moment - seen.moments()[0]:.0f} s")
    assert wrong == {}, "\n".join(f"{what}: {' '.join(when)}" for what, when in wrong.items())
    assert set().union(*(fired[state] for state in HEALTHY)) == set()
    assert "ThroughputCollapsed" in fired["backend dead"]
    assert "RedisDown" in fired["Redis down"]
