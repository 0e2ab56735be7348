"""The lights say what they should: panels that turn numbers into words, asked of series that are made up.

`promtool test rules` runs Prometheus' own engine over them, without a server.
"""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.stack.dashboards import read
from tests.stack.test_dashboards_live import substituted

BUSINESS, SIDECAR = "Business/business-dashboard.json", "Operations/sidecar-dashboard.json"
INFRASTRUCTURE = "Operations/infrastructure-dashboard.json"
GREEN, ORANGE, RED, UNKNOWN = 0.0, 1.0, 2.0, None

# Five minutes, a value every five seconds: 20 orders a second, a commit just now. No series has an `environment`, as
# where no target is given one: the choice is All then.
HEALTHY = {
    'flash_sale_orders_total{instance="a",status="success"}': "0+100x60",
    'flash_sale_order_latency_percentile_seconds{instance="a",percentile="95",window="1m"}': "0.2x60",
    'flash_sale_queue_length{instance="a",queue="orders"}': "30x60",
    'flash_sale_sidecar_last_commit_timestamp_seconds{instance="a"}': "0+5x60",
    'flash_sale_info{instance="a",sidecar="host"}': "1x60",
    'flash_sale_sidecar_order_faults_total{instance="a"}': "0x60",
    'ALERTS{alertname="OrderFaultRateHigh",severity="warning",alertstate="firing"}': "1x60",
}
SALES: dict[str, tuple[dict[str, str], dict[str, float | None]]] = {
    "a healthy sale": ({}, {}),
    "one order in 50 breaks": (
        {'flash_sale_sidecar_order_faults_total{instance="a"}': "0+2x60"},
        {"Orders": ORANGE},
    ),
    "one order in 10 breaks": (
        {'flash_sale_sidecar_order_faults_total{instance="a"}': "0+10x60"},
        {"Orders": RED},
    ),
    "half are refused": ({'flash_sale_order_failures_total{instance="a",kind="refusal",reason="x"}': "0+50x60"}, {}),
    "customers wait five seconds": (
        {'flash_sale_order_latency_percentile_seconds{instance="a",percentile="95",window="1m"}': "5x60"},
        {"Customers wait": ORANGE},
    ),
    "the queue needs half a minute": (
        {'flash_sale_queue_length{instance="a",queue="orders"}': "600x60"},
        {"Queue": ORANGE},
    ),
    "nothing is decided and one waits": (
        {
            'flash_sale_orders_total{instance="a",status="success"}': "9x60",
            'flash_sale_queue_length{instance="a",queue="orders"}': "1x60",
        },
        {"Queue": RED},
    ),
    "nobody is there": (
        {
            'flash_sale_orders_total{instance="a",status="success"}': "9x60",
            'flash_sale_queue_length{instance="a",queue="orders"}': "0x60",
        },
        {},
    ),
    "every backend is dead, and somebody is paged": (
        {
            'flash_sale_orders_total{instance="a",status="success"}': "9x60",
            'flash_sale_queue_length{instance="a",queue="orders"}': "0x60",
            'ALERTS{alertname="ThroughputCollapsed",severity="critical",alertstate="firing"}': "1x60",
        },
        {"Orders": RED, "Customers wait": RED, "Queue": RED, "Alarms": RED},
    ),
    "one in a hundred waits long": (
        {'ALERTS{alertname="OrderLatencyHigh",severity="critical",alertstate="firing"}': "1x60"},
        {"Customers wait": RED, "Alarms": RED},
    ),
    "a page is about to go out": (
        {'ALERTS{alertname="ThroughputCollapsed",severity="critical",alertstate="pending"}': "1x60"},
        {},
    ),
    "a standby beside it was active long ago": (
        {'flash_sale_sidecar_last_commit_timestamp_seconds{instance="b"}': "0x60"},
        {},
    ),
    "there are standbys alone": (
        {'flash_sale_info{instance="a",sidecar="host"}': "1x30 stale"},
        {"Orders": UNKNOWN, "Customers wait": UNKNOWN, "Queue": UNKNOWN, "These numbers": RED},
    ),
    "Redis is away, and somebody is paged": (
        {'ALERTS{alertname="RedisDown",severity="critical",alertstate="firing"}': "1x60"},
        {"Orders": UNKNOWN, "Customers wait": UNKNOWN, "Queue": UNKNOWN, "These numbers": RED, "Alarms": RED},
    ),
    "no commit for ten seconds": (
        {'flash_sale_sidecar_last_commit_timestamp_seconds{instance="a"}': "290x60"},
        {"These numbers": ORANGE},
    ),
}
ROLES = {
    'flash_sale_sidecar_build_info{instance="a",job="sidecar",version="1"}': "1x60",
    'flash_sale_info{sidecar="host",instance="a",job="sidecar"}': "1x60",
    'up{instance="a",job="sidecar"}': "1x60",
    'flash_sale_sidecar_build_info{instance="b",job="sidecar",version="1"}': "1x60",
    'up{instance="b",job="sidecar"}': "1x60",
    'flash_sale_sidecar_build_info{instance="c",job="sidecar",version="1"}': "1x30 stale",
    'up{instance="c",job="sidecar"}': "1x30 0x29",
    'up{instance="d",job="node"}': "0x60",
}


@pytest.mark.parametrize("sale", SALES)
def test_a_light_shows_its_state_and_the_first_one_the_worst_state(promtool: str, sale: str, tmp_path: Path) -> None:
    changed, differing = SALES[sale]
    names = ("Orders", "Customers wait", "Queue", "These numbers", "Alarms")
    lights: dict[str, float | None] = dict.fromkeys(names, GREEN)
    lights |= differing
    lights["Is the system keeping up?"] = max(value for value in lights.values() if value is not UNKNOWN)
    check(
        promtool,
        tmp_path,
        HEALTHY | changed,
        {expression(BUSINESS, name): {} if value is UNKNOWN else {"{}": value} for name, value in lights.items()},
    )


def test_without_a_sidecar_the_numbers_are_gone(promtool: str, tmp_path: Path) -> None:
    check(promtool, tmp_path, {"up": "0x60"}, {expression(BUSINESS, "Is the system keeping up?"): {"{}": RED}})


def test_redis_answers_the_sidecar_refuses_or_is_down(promtool: str, tmp_path: Path) -> None:
    up, refuses = "flash_sale_sidecar_redis_up", "flash_sale_sidecar_redis_refuses_writes"
    series = {f'{up}{{instance="a"}}': "1x60", f'{up}{{instance="b"}}': "1x60", f'{up}{{instance="c"}}': "0x60"}
    series |= {f'{refuses}{{instance="a",reason="disk"}}': "0x60", f'{refuses}{{instance="b",reason="disk"}}': "1x60"}
    lights = {'{instance="a"}': 1.0, '{instance="b"}': -1.0, '{instance="c"}': 0.0}
    check(promtool, tmp_path, series, {expression(SIDECAR, "Redis"): lights})


def test_a_frozen_redis_does_not_answer(promtool: str, tmp_path: Path) -> None:
    """Its exporter answers too late, and so not at all."""
    series = {
        'redis_up{instance="a",job="redis"}': "1x60",
        'up{instance="a",job="redis"}': "1x60",
        'redis_up{instance="b",job="redis"}': "1x30 stale",
        'up{instance="b",job="redis"}': "1x30 0x29",
        'up{instance="c",job="node"}': "0x60",
    }
    lights = {'{instance="a"}': 1.0, '{instance="b"}': 0.0}
    check(promtool, tmp_path, series, {expression(INFRASTRUCTURE, "Redis answers"): lights})


def test_a_sidecar_is_active_a_standby_or_down(promtool: str, tmp_path: Path) -> None:
    roles = {'{instance="a"}': 1.0, '{instance="b"}': 0.0, '{instance="c"}': -1.0}
    check(promtool, tmp_path, ROLES, {expression(SIDECAR, "Role"): roles})


def expression(name: str, title: str) -> str:
    """Return the query of a panel, with everything chosen."""
    (panel,) = (one for one in read(name)["panels"] if one["title"] == title and one["type"] != "row")
    return substituted(panel["targets"][0]["expr"]).replace('"rehearsal"', '".*"')


def check(promtool: str, folder: Path, series: dict[str, str], expected: dict[str, dict[str, float]]) -> None:
    """Let promtool evaluate expressions after five minutes of these series; `expected` are values by labels."""
    asked: list[dict[str, Any]] = [
        {
            "expr": text,
            "eval_time": "5m",
            "exp_samples": [{"labels": labels, "value": value} for labels, value in values.items()],
        }
        for text, values in expected.items()
    ]
    inputs = [{"series": name, "values": values} for name, values in series.items()]
    test = {"interval": "5s", "input_series": inputs, "promql_expr_test": asked}
    file = folder / "lights.yml"
    file.write_text(json.dumps({"rule_files": [], "evaluation_interval": "5s", "tests": [test]}))
    found = subprocess.run([promtool, "test", "rules", file], capture_output=True, text=True, timeout=30, check=False)
    assert found.returncode == 0, found.stdout + found.stderr
