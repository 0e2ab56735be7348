"""What Alertmanager has firing, or why nobody knows."""

import json
import time
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from sidecar.cli.client import alertmanager
from sidecar.cli.client.alertmanager import Alert, Alertmanager, Alerts
from sidecar.errors import ConfigError
from tests.cli.client.test_readers import answering
from tests.ports import free_port

STARTED = "2026-11-30T01:37:31.122Z"
STARTED_TS = 1796002651.122


def alert(name: str, severity: str, summary: str = "", started: str = STARTED) -> dict[str, Any]:
    """Return an alert as version 2 of the API shows it."""
    labels = {"alertname": name, "severity": severity}
    return {"labels": labels, "annotations": {"summary": summary}, "startsAt": started, "status": {"state": "active"}}


def found(status: int, body: bytes) -> Alerts:
    """Return what is seen where every request is answered so."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        assert request.path.startswith("/am/api/v2/alerts?")
        request.send_response(status)
        request.end_headers()
        request.wfile.write(body)

    with answering(answer) as url:
        return Alertmanager(f"{url}/am/").firing()


def test_the_worst_comes_first_alerts_of_a_name_are_one_and_the_watchdog_is_none() -> None:
    firing = [
        alert("Watchdog", "info"),
        alert("StockRunningOut", "info", "b is sold out in 9 s", "2026-11-30T01:37:33Z"),
        alert("StockRunningOut", "info", "a is sold out in 30 s"),
        alert("OrderFaultRateHigh", "warning"),
        alert("RedisDown", "critical", "Redis does not answer", "2026-11-30T02:37:31.122+01:00"),
        {"labels": {"alertname": "Mine"}, "annotations": {}, "startsAt": STARTED},
    ]
    assert found(200, json.dumps(firing).encode()) == Alerts(
        (
            Alert("RedisDown", "critical", 1, STARTED_TS, "Redis does not answer"),
            Alert("OrderFaultRateHigh", "warning", 1, STARTED_TS, ""),
            Alert("StockRunningOut", "info", 2, STARTED_TS, "a is sold out in 30 s"),
            Alert("Mine", "", 1, STARTED_TS, ""),
        )
    )


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (200, b"[]", ""),
        (200, b"<html>", "is not Alertmanager: check --alertmanager"),
        (200, b'{"orders":1}', "is not Alertmanager: check --alertmanager"),
        (200, b'[{"labels":{}}]', "is not Alertmanager: check --alertmanager"),
        (404, b"", "answers with HTTP 404: check --alertmanager"),
    ],
)
def test_what_else_answers_is_said(status: int, body: bytes, told: str) -> None:
    alerts = found(status, body)
    assert alerts.firing == ()
    assert alerts.problem.endswith(told) and bool(alerts.problem) == bool(told)


def test_one_that_does_not_answer_is_not_waited_for_nor_asked_at_every_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alertmanager, "ASK_SECONDS", 0.2)
    asked = []

    def stuck(request: BaseHTTPRequestHandler) -> None:
        asked.append(request.path)
        time.sleep(0.5)

    with answering(stuck) as url:
        there = Alertmanager(url)
        for _ in range(3):
            assert there.firing().problem.startswith(f"no Alertmanager answers at {url} (")
    assert len(asked) == 1


def test_nobody_there_is_said() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    assert "Connection refused" in Alertmanager(url).firing().problem


@pytest.mark.parametrize("url", ["127.0.0.1:9093", "ftp://host", "http://"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="--alertmanager must be http"):
        Alertmanager(url)
