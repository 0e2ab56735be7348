"""The files of Prometheus and Alertmanager are valid, complete, and tested by promtool for every alert."""

import json
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.programs import needs
from tests.stack.alerting import MONITORING, REPLACED

ROOT = MONITORING.parent
RULES = sorted((MONITORING / "rules").glob("*.yml"))
UNIT_TESTS = sorted((MONITORING / "tests").glob("*.yml"))
RUNBOOKS = sorted((ROOT / "docs" / "runbooks").glob("*.md"))
LONG = re.compile(r"eval_time: ([3-9]|\d\d)m")
SEVERITIES = {"critical", "warning", "info"}
SECTIONS = ["What it means", "Look at", "Do", "Silence"]
JOBS = {"sidecar": 9850, "redis": 9121, "node": 9100, "alertmanager": 9093, "prometheus": 9090}


@cache
def load(path: Path) -> Any:
    return yaml.load(path.read_text(), yaml.CSafeLoader)


def groups() -> list[list[dict[str, Any]]]:
    return [group["rules"] for path in RULES for group in load(path)["groups"]]


def rules() -> list[dict[str, Any]]:
    return [rule for group in groups() for rule in group]


ALERTS = [rule for rule in rules() if "alert" in rule]
NAMES = sorted({rule["alert"] for rule in ALERTS})
TEXTS: dict[str, str] = {}  # of each rule by name, and of all severities of an alert
for rule in rules():
    name = rule.get("alert") or rule["record"]
    TEXTS[name] = f"{TEXTS.get(name, '')} {rule}"


def unit_tests(alert: str) -> list[dict[str, Any]]:
    """Return the checks of an alert in all unit tests."""
    groups = [group for path in UNIT_TESTS for group in load(path)["tests"]]
    return [check for group in groups for check in group.get("alert_rule_test", []) if check["alertname"] == alert]


def check(*command: str | Path, folder: Path = ROOT) -> str:
    """Run a checking program and return what it says; fail with that if it finds a fault."""
    program, *arguments = command
    done = subprocess.run(
        [needs(str(program)), *arguments], cwd=folder, capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("alternative", [False, True], ids=["metrics", "monitoring-metrics"])
def test_prometheus_yml_is_valid_where_it_is_mounted(promtool: str, tmp_path: Path, alternative: bool) -> None:
    text = (MONITORING / "prometheus.yml").read_text()
    assert REPLACED["metrics_path"] in text
    if alternative:
        text = text.replace(REPLACED["metrics_path"], "metrics_path:")
    (tmp_path / "prometheus.yml").write_text(text)
    (tmp_path / "rules").symlink_to(MONITORING / "rules")
    (tmp_path / "targets").symlink_to(MONITORING / "targets" / "compose")
    said = check(promtool, "check", "config", tmp_path / "prometheus.yml")
    assert f"{len(RULES)} rule files found" in said
    assert "WARNING" not in said  # a target file that is not there


def test_compose_and_the_native_stack_scrape_the_same_jobs_on_the_same_ports() -> None:
    jobs = {job["job_name"]: job for job in load(MONITORING / "prometheus.yml")["scrape_configs"]}
    assert jobs.keys() == JOBS.keys()
    for name, job in jobs.items():
        assert job["file_sd_configs"] == [{"files": [f"targets/{name}.yml"]}]
    for place in ("compose", "native"):
        groups = {path.stem: load(path)[0] for path in (MONITORING / "targets" / place).iterdir()}
        asked = {name: group.get("labels", {}).get("__exporter", group["targets"][0]) for name, group in groups.items()}
        assert {name: int(address.rpartition(":")[2]) for name, address in asked.items()} == JOBS
        assert len(groups["redis"]["targets"]) == 2  # by the one exporter


def test_the_sale_is_scraped_every_3_s_and_the_slow_ones_every_30_s() -> None:
    config = load(MONITORING / "prometheus.yml")
    default = config["global"]["scrape_interval"]
    intervals = {job["job_name"]: job.get("scrape_interval", default) for job in config["scrape_configs"]}
    fast = {"sidecar": "3s", "redis": "5s"}
    assert intervals == dict.fromkeys(("node", "alertmanager", "prometheus"), "30s") | fast


def test_a_critical_alert_loses_no_time_on_its_way() -> None:
    """Scrape, evaluation, `for` and group_wait, one after the other, leave three of the 15 s to be seen."""
    intervals = {group["name"]: group["interval"] for path in RULES for group in load(path)["groups"]}
    assert {name for name, interval in intervals.items() if interval != "1s"} == {"flash_sale_products"}
    assert intervals["flash_sale_products"] == "5s"
    waits = {seconds(rule.get("for", "0s")) for rule in ALERTS if rule["labels"]["severity"] == "critical"}
    (route,) = (one for one in load(MONITORING / "alertmanager.yml")["route"]["routes"] if "critical" in str(one))
    assert 3 + 1 + max(waits) + seconds(route["group_wait"]) <= 15
    assert seconds(route["group_interval"]) <= 3


def seconds(duration: str) -> int:
    assert duration.endswith("s")
    return int(duration[:-1])


def test_no_alert_is_by_product_and_no_message_lists_more_than_ten_alerts() -> None:
    assert [rule["alert"] for rule in ALERTS if "$labels.product_id" in str(rule)] == []
    receivers = {one["name"]: one for one in load(MONITORING / "alertmanager.yml")["receivers"]}
    assert [hook["max_alerts"] for name in ("critical", "warning") for hook in receivers[name]["webhook_configs"]] == [
        10,
        10,
    ]


def test_the_rules_are_valid(promtool: str) -> None:
    check(promtool, "check", "rules", *RULES)


@pytest.mark.parametrize("path", UNIT_TESTS, ids=lambda path: str(path.stem))
def test_every_alert_fires_when_it_should_and_only_then(path: Path, tmp_path: Path) -> None:
    """Each unit test has only the rules that it needs, which takes a fifth of the time that all take. Those that run
    on for minutes of the rules' time are left to the campaign.
    """
    check("promtool", "test", "rules", *alone(path, tmp_path))


@pytest.mark.campaign
@pytest.mark.parametrize("path", UNIT_TESTS, ids=lambda path: str(path.stem))
def test_every_alert_fires_when_it_should_and_only_then_among_all_others(promtool: str, path: Path) -> None:
    check(promtool, "test", "rules", path)


def alone(path: Path, folder: Path) -> list[Path]:
    """Write each unit test of a file to one of its own, beside the rules that it needs; return these files."""
    root: Any = yaml.compose(path.read_text(), yaml.CSafeLoader)
    tests = next(value for key, value in root.value if key.value == "tests")
    written = []
    for number, test in enumerate(tests.value[:]):
        tests.value = [test]
        text = yaml.serialize(root, Dumper=yaml.CSafeDumper)
        if LONG.search(text):
            continue
        _write_rules(folder / str(number) / "rules", needed(text))
        written.append(folder / str(number) / "tests" / path.name)
        written[-1].parent.mkdir()
        written[-1].write_text(text)
    return written


def needed(text: str) -> set[str]:
    """Return the rules that a text names, those that these name, and so on."""
    found: set[str] = set()
    while more := {name for name in TEXTS if name in text} - found:
        found |= more
        text = " ".join(TEXTS[name] for name in more)
    return found


def _write_rules(folder: Path, names: set[str]) -> None:
    folder.mkdir(parents=True)
    for path in RULES:
        groups = [
            {**group, "rules": [rule for rule in group["rules"] if names & {rule.get("alert"), rule.get("record")}]}
            for group in load(path)["groups"]
        ]
        (folder / path.name).write_text(yaml.dump({"groups": groups}, Dumper=yaml.CSafeDumper))


@pytest.mark.parametrize("name", NAMES)
def test_every_severity_of_an_alert_has_a_unit_test_that_fires_and_the_alert_one_that_is_silent(name: str) -> None:
    fired = {one["exp_labels"]["severity"] for test in unit_tests(name) for one in test["exp_alerts"]}
    assert fired == {rule["labels"]["severity"] for rule in ALERTS if rule["alert"] == name}
    silent = [test for test in unit_tests(name) if not test["exp_alerts"]]
    assert bool(silent) == (name != "Watchdog")  # which never is


def test_every_recording_rule_has_a_unit_test_and_a_name_by_convention() -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    tests = [test for path in UNIT_TESTS for test in load(path)["tests"]]
    queries = {query["expr"] for test in tests for query in test.get("promql_expr_test", [])}
    assert recorded == {query for query in queries if not query.startswith("ALERTS")}
    assert [name for name in recorded if not re.fullmatch(r"[a-z_]+:flash_sale_[a-z_]+:[a-z0-9_]+", name)] == []


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: f"{rule['alert']}-{rule['labels']['severity']}")
def test_every_alert_says_how_bad_it_is_what_is_wrong_and_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in SEVERITIES
    assert rule["labels"]["component"] in {"sale", "sidecar", "redis", "stack"}
    annotations = rule["annotations"]
    assert set(annotations) == {"summary", "description", "runbook_url"}
    assert not annotations["summary"].startswith("{{ $labels.instance")  # an address says nothing at 3 a.m.
    assert all(annotations.values())
    assert annotations["runbook_url"] == f"docs/runbooks/{rule['alert']}.md"
    assert (ROOT / annotations["runbook_url"]).is_file()


def test_no_runbook_is_left_over() -> None:
    assert [path.stem for path in RUNBOOKS] == NAMES


def test_the_page_on_alerts_names_every_alert() -> None:
    text = (ROOT / "docs" / "how-to" / "alerts.md").read_text()
    assert [name for name in NAMES if f"[{name}](../runbooks/{name}.md)" not in text] == []


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: str(path.stem))
def test_every_runbook_says_the_same_four_things(path: Path) -> None:
    text = path.read_text()
    assert text.startswith(f"# {path.stem}\n")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == SECTIONS
    assert f"amtool silence add alertname={path.stem} " in text


def test_every_query_of_the_runbooks_is_valid(promtool: str, tmp_path: Path) -> None:
    queries = [line for path in RUNBOOKS for line in fenced(path) if line]
    assert len(queries) > len(RUNBOOKS)
    recorded = [{"record": f"query_{number}", "expr": query} for number, query in enumerate(queries)]
    (file := tmp_path / "queries.yml").write_text(yaml.safe_dump({"groups": [{"name": "runbooks", "rules": recorded}]}))
    check(promtool, "check", "rules", file)


def fenced(path: Path) -> list[str]:
    """Return the lines of the blocks of queries on a page."""
    blocks = re.findall(r"^```promql\n(.*?)^```$", path.read_text(), re.DOTALL | re.MULTILINE)
    return [line for block in blocks for line in block.splitlines()]


@pytest.mark.parametrize("path", [*RULES, *UNIT_TESTS, *RUNBOOKS], ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_metric_named_is_exposed_or_recorded(path: Path) -> None:
    """The page of the reference is itself checked against what the daemon exposes."""
    reference = (ROOT / "docs" / "reference" / "metrics.md").read_text()
    exposed = set(re.findall(r"`(flash_sale_\w+)", reference))
    recorded = {part for rule in rules() if "record" in rule for part in rule["record"].split(":")}
    groups = {group["name"] for file in RULES for group in load(file)["groups"]}
    named = set(re.findall(r"\bflash_sale_\w+", path.read_text()))
    assert named - exposed - recorded - groups - {"flash_sale_metrics"} == set()  # the last one begins Redis keys


@pytest.mark.needs("amtool")
def test_alertmanager_yml_and_its_templates_are_valid() -> None:
    said = check("amtool", "check-config", MONITORING / "alertmanager.yml")
    assert "1 templates" in said


@pytest.mark.needs("amtool")
@pytest.mark.parametrize(
    ("name", "severity", "receiver"),
    [
        ("Oversold", "critical", "critical"),
        ("EventsRefused", "warning", "warning"),
        ("StockRunningOut", "info", "info"),
        ("Watchdog", "info", "watchdog"),
    ],
)
def test_an_alert_goes_to_the_receiver_of_its_severity(name: str, severity: str, receiver: str) -> None:
    assert severity in {rule["labels"]["severity"] for rule in ALERTS if rule["alert"] == name}
    config = MONITORING / "alertmanager.yml"
    labels = (f"alertname={name}", f"severity={severity}")
    said = check("amtool", "config", "routes", "test", "--config.file", config, *labels)
    assert said.splitlines()[0] == receiver


@pytest.mark.needs("amtool")
def test_a_message_has_three_of_many_alerts_and_no_numbers_of_those_that_are_over(tmp_path: Path) -> None:
    began, over = "2026-01-01T00:00:00Z", "2026-01-01T00:01:12.4Z"
    words = {"summary": "S", "description": "D 49.78", "runbook_url": "docs/runbooks/SidecarDown.md"}
    alert = {"labels": {"alertname": "SidecarDown", "instance": "a"}, "annotations": words, "startsAt": began}
    alerts = [{**alert, "status": "firing", "endsAt": began}] * 4 + [{**alert, "status": "resolved", "endsAt": over}]
    group = {"status": "firing", "alerts": alerts, "groupLabels": {"alertname": "SidecarDown"}, "commonLabels": {}}
    (data := tmp_path / "data.json").write_text(json.dumps(group))
    text = '{{ template "flash_sale.text" . }}'
    glob = f"--template.glob={MONITORING}/templates/*.tmpl"
    said = check("amtool", "template", "render", glob, f"--template.text={text}", f"--template.data={data}")
    one = "*S*\nD 49.78\ndocs/runbooks/SidecarDown.md\n"
    assert said.strip() == f"{one * 3}These are 3 of 4.\nResolved after 1m12s: SidecarDown, a"


def test_no_secret_stands_in_the_files() -> None:
    """Every secret is a file, and none of these files is in the repository."""
    secret = re.compile(r"password|token|api_url|credentials")
    for path in (MONITORING / "alertmanager.yml", MONITORING / "prometheus.yml"):
        settings = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
        assert [line for line in settings if secret.search(line) and not re.search(r"_file: secrets/\w+$", line)] == []
    assert "/monitoring/secrets/" in (ROOT / ".gitignore").read_text().splitlines()


def test_inhibition_names_alerts_that_exist() -> None:
    text = str(load(MONITORING / "alertmanager.yml")["inhibit_rules"])
    named = set(re.findall(r"\b[A-Z]\w+\b", text))
    assert {"SidecarDown", "RedisDown", "RedisRefusesWrites", "ThroughputCollapsed"} <= named <= set(NAMES)


def selects(matchers: list[str], rule: dict[str, Any]) -> bool:
    """Whether matchers of an inhibition select the alert of a rule."""
    labels = rule["labels"] | {"alertname": rule["alert"]}
    for matcher in matchers:
        name, operator, value = (part.strip(' "') for part in re.split("(!=|=~|=)", matcher, maxsplit=1))
        if bool(re.fullmatch(value, labels.get(name, ""))) == (operator == "!="):
            return False
    return True


@pytest.mark.parametrize("rules", groups(), ids=lambda rules: rules[0].get("record", rules[0].get("alert")))
def test_what_is_inhibited_is_resolved_before_the_alert_that_inhibits_it(rules: list[dict[str, Any]]) -> None:
    """Rules run in order: the one that inhibits is later, or keeps firing for a while."""
    alerts = [rule for rule in rules if "alert" in rule]
    for inhibition in load(MONITORING / "alertmanager.yml")["inhibit_rules"]:
        by_name = "alertname" in inhibition["equal"]
        for number, rule in enumerate(alerts):
            if selects(inhibition["source_matchers"], rule) and (by_name or "keep_firing_for" not in rule):
                later = [other for other in alerts[number + 1 :] if selects(inhibition["target_matchers"], other)]
                assert [one["alert"] for one in later if not by_name or one["alert"] == rule["alert"]] == []
