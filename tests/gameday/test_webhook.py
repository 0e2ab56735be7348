"""The webhook notes what arrives, and the shipped routes lead to it."""

import json
import urllib.request
from pathlib import Path

import yaml

from tests.gameday.judge import Notice
from tests.gameday.webhook import Webhook, lead_to
from tests.stack.alerting import MONITORING


def test_every_alert_of_a_message_is_noted_with_its_time() -> None:
    moments = iter((1.5, 2.5))
    webhook = Webhook(lambda: next(moments))
    down = {"alertname": "RedisDown", "severity": "critical", "job": "sidecar", "environment": "test"}
    first = {"status": "firing", "labels": down, "annotations": {"summary": "it is down"}}
    second = {"status": "resolved", "labels": {"alertname": "Watchdog"}, "annotations": {}}
    try:
        for alerts in ([first, second], [first]):
            body = json.dumps({"alerts": alerts}).encode()
            urllib.request.urlopen(f"http://127.0.0.1:{webhook.server_port}/critical", body, timeout=5).close()
    finally:
        webhook.close()
    told = Notice(1.5, "firing", "RedisDown", "critical", "environment=test job=sidecar", "it is down")
    assert webhook.notices[:2] == [told, Notice(1.5, "resolved", "Watchdog", "")]
    assert webhook.notices[2].at == 2.5
    assert webhook.largest == 2


def test_receivers_are_replaced_and_nothing_else(tmp_path: Path) -> None:
    lead_to(1234, MONITORING / "alertmanager.yml", tmp_path / "alertmanager.yml")
    shipped = yaml.safe_load((MONITORING / "alertmanager.yml").read_text())
    written = yaml.safe_load((tmp_path / "alertmanager.yml").read_text())
    names = [one["name"] for one in shipped.pop("receivers")]
    places = {one["name"]: one["webhook_configs"][0]["url"] for one in written.pop("receivers")}
    assert places == {name: f"http://127.0.0.1:1234/{name}" for name in names}
    assert written == shipped
