"""The dashboards as files: as built, as Grafana's schema wants them, and fit to be read."""

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

from monitoring.dashboards.__main__ import DASHBOARDS, FOLDER, rendered
from monitoring.dashboards.board import ANNOTATION_WORDS, DATASOURCE_UID, TAG, THEME, encoded
from monitoring.dashboards.queries import FIRING
from tests.stack.compose import mounts
from tests.stack.dashboards import NAMES, panels, read, targets
from tests.stack.test_alert_rules import NAMES as NAMES_OF_ALERTS

UNITS = {value for name, value in vars(units).items() if name[0].isupper() and isinstance(value, str)}
PROVISIONING = FOLDER.parent / "provisioning"


def provisioned(name: str) -> dict[str, Any]:
    """Return a provisioning file."""
    found: dict[str, Any] = yaml.safe_load((PROVISIONING / name).read_text(encoding="utf-8"))
    return found


def test_what_is_committed_is_what_make_dashboards_writes() -> None:
    built = rendered()
    assert set(built) <= set(NAMES)
    assert [name for name, text in built.items() if (FOLDER / name).read_text(encoding="utf-8") != text] == []


def test_no_two_dashboards_share_what_must_differ() -> None:
    for key in ("uid", "title"):
        values = [read(name)[key] for name in NAMES]
        assert len(set(values)) == len(values)


@pytest.mark.parametrize("name", NAMES)
def test_every_panel_says_what_to_look_for(name: str) -> None:
    short = [panel["title"] for panel in panels(name) if len(panel.get("description", "")) < 20]
    assert short == []
    titles = [panel["title"] for panel in panels(name)]
    assert len(set(titles)) == len(titles)


@pytest.mark.parametrize("name", DASHBOARDS)
class TestADashboardThatIsBuilt:
    """What holds for ours. A team's own, drawn in the browser, may look as they like it."""

    def test_the_schema_knows_every_field(self, name: str) -> None:
        """Nothing is lost on the way through the SDK's types, but the fields that they are known to lack."""
        register_default_plugins()
        document = read(name)
        known = {f"/{key}" for key in THEME} | {f"/annotations/list/0/{key}" for key in ANNOTATION_WORDS}
        assert set(lost(document, encoded(Dashboard.from_json(read(name))))) == known

    def test_it_shows_the_last_minutes_and_follows(self, name: str) -> None:
        document = read(name)
        assert (document["refresh"], document["time"]) == ("5s", {"from": "now-15m", "to": "now"})
        assert document["style"] == "dark"

    def test_it_has_the_common_variables_alerts_and_links(self, name: str) -> None:
        document = read(name)
        variables = [variable["name"] for variable in document["templating"]["list"]]
        assert variables[:2] == ["datasource", "environment"]
        assert [annotation["expr"] for annotation in document["annotations"]["list"]] == [FIRING]
        assert TAG in document["tags"]
        assert [link["tags"] for link in document["links"] if link["type"] == "dashboards"] == [[TAG]]

    def test_every_variable_in_a_query_is_one_of_the_dashboard(self, name: str) -> None:
        known = {variable["name"] for variable in read(name)["templating"]["list"]}
        used = {word for target in targets(name) for word in variables_in(target.expression)}
        assert used <= known | {"__rate_interval", "__range"}
        assert known - {"datasource"} <= used, "a variable that changes nothing"

    def test_every_unit_is_one_that_grafana_knows(self, name: str) -> None:
        for panel in panels(name):
            found = units_of(panel)
            assert found, panel["title"]
            assert all(unit in UNITS or unit.startswith("suffix:/") for unit in found), panel["title"]

    def test_every_query_has_a_legend(self, name: str) -> None:
        tables = {panel["title"] for panel in panels(name) if panel["type"] == "table"}
        bare = [one.where for one in targets(name) if not one.legend]
        assert all(any(f": {title} (" in where for title in tables) for where in bare), bare

    def test_panels_fill_their_rows_and_are_legible_on_a_phone(self, name: str) -> None:
        """Wide enough to be read, whole rows, none over another."""
        lines: dict[int, list[dict[str, int]]] = {}
        for panel in read(name)["panels"]:
            lines.setdefault(panel["gridPos"]["y"], []).append(panel["gridPos"] | {"x": panel["gridPos"].get("x", 0)})
        for y, line in lines.items():
            assert all(place["w"] in (6, 12, 24) for place in line), y
            assert sum(place["w"] for place in line) == 24, y
            assert len({place["h"] for place in line}) == 1, y
            assert [place["x"] for place in line] == sorted(place["x"] for place in line)
        for (y, line), (below, _) in pairwise(sorted(lines.items())):
            assert y + line[0]["h"] <= below, y

    def test_every_panel_reads_the_chosen_data_source(self, name: str) -> None:
        for panel in panels(name):
            chosen = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
            assert all(one == {"type": "prometheus", "uid": "${datasource}"} for one in chosen), panel["title"]


def test_the_provisioned_data_source_is_the_one_that_the_dashboards_choose() -> None:
    (source,) = provisioned("datasources/prometheus.yml")["datasources"]
    assert (source["uid"], source["type"], source["isDefault"]) == (DATASOURCE_UID, "prometheus", True)
    for name in DASHBOARDS:
        variable = read(name)["templating"]["list"][0]
        assert variable["current"]["value"] == DATASOURCE_UID


def test_the_name_of_an_alert_leads_to_its_runbook() -> None:
    panels_of_alerts = [panel for name in DASHBOARDS for panel in panels(name) if panel["title"] == "Alerts firing"]
    assert len(panels_of_alerts) == 3
    (url,) = {link["url"] for panel in panels_of_alerts for link in panel["fieldConfig"]["defaults"]["links"]}
    folder, page = mounts("grafana")["/usr/share/grafana/public/runbooks"], url.removeprefix("/public/runbooks/")
    assert page != url
    for alert in NAMES_OF_ALERTS:
        assert (FOLDER.parents[2] / folder / page.replace("${__field.labels.alertname}", alert)).is_file(), alert
    assert "Watchdog" in NAMES_OF_ALERTS, "the queries leave it out by this name"


def test_a_directory_is_a_folder() -> None:
    (provider,) = provisioned("dashboards/dashboards.yml")["providers"]
    assert provider["options"]["foldersFromFilesStructure"] is True
    assert "folder" not in provider, "Grafana refuses both"
    assert {name.partition("/")[0] for name in NAMES if "/" in name} >= {"Business", "Operations"}


def lost(before: Any, after: Any, path: str = "") -> Iterator[str]:
    """Yield where `after` lacks what is in `before`."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key, value in before.items():
            yield from lost(value, after.get(key), f"{path}/{key}")
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, value in enumerate(before):
            yield from lost(value, after[index], f"{path}/{index}")
    elif before != after:
        yield path


def variables_in(expression: str) -> set[str]:
    """Return the names after a `$`."""
    return set(re.findall(r"\$(\w+)", expression))


def units_of(panel: dict[str, Any]) -> list[str]:
    """Return the units of a panel: its own, or those of its columns."""
    config = panel["fieldConfig"]
    columns = [one["value"] for over in config["overrides"] for one in over["properties"] if one["id"] == "unit"]
    return [*([config["defaults"]["unit"]] if "unit" in config["defaults"] else []), *columns]
