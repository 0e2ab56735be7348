"""A real sale goes wrong and heals: Prometheus sees it, Alertmanager tells it, with the files that are shipped."""

import json
import re
import shlex
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis

from tests.e2e.daemon import ROOT, Daemon
from tests.programs import needs
from tests.redis_server import RedisServer
from tests.stack.alerting import Inbox, Mailbox, Stack
from tests.waiting import wait_until

CHANNEL = "flash_sale:events"
ALERT = "OrderFaultRateHigh"


class Sale(threading.Thread):
    """Publish 40 orders a second, half of them failed for a reason that may change."""

    def __init__(self, server: RedisServer, reason: str) -> None:
        super().__init__(daemon=True)
        self.reason = reason
        self._client = redis.Redis(port=server.port)
        self._done = threading.Event()

    def run(self) -> None:
        """Publish."""
        while not self._done.wait(0.1):
            orders = [{"status": "success", "latency_ms": 20}, {"status": "failed", "reason": self.reason}] * 2
            self._client.publish(CHANNEL, json.dumps(orders))

    def finish(self) -> None:
        """Stop, and wait for the end."""
        self._done.set()
        self.join()
        self._client.close()


@pytest.fixture
def daemon(redis_server: RedisServer, tmp_path: Path) -> Iterator[Daemon]:
    """A daemon that was told how often it is scraped."""
    daemon = Daemon(tmp_path, redis_server.url, settings="metrics: {new_series_hold: 1s}").start()
    yield daemon
    daemon.end()


@pytest.fixture
def stack(daemon: Daemon, tmp_path: Path) -> Iterator[Stack]:
    """What watches it, to be started."""
    (folder := tmp_path / "stack").mkdir()
    stack = Stack(folder, sidecar=daemon.http)
    yield stack
    stack.stop()


@pytest.mark.campaign
@pytest.mark.needs("prometheus", "prometheus-alertmanager", "amtool")
def test_a_failing_sale_is_told_to_everybody_once_and_its_recovery_too(redis_server: RedisServer, stack: Stack) -> None:
    """Half of the orders time out, then half are refused as sold out, which is no fault."""
    with ExitStack() as ending:
        inbox, mailbox = ending.enter_context(Inbox()), ending.enter_context(Mailbox())
        ending.callback(inbox.shutdown)
        ending.callback(mailbox.shutdown)
        stack.start_alertmanager(inbox, mailbox)
        stack.start_prometheus()
        sale = Sale(redis_server, "timeout")
        ending.callback(sale.finish)
        sale.start()
        wait_until(lambda: inbox.alerts("/alerts", alertname=ALERT, status="firing"), 40, "the alert at the webhook")
        wait_until(lambda: stack.suppressed(f"alertname={ALERT}", "severity=warning"), 30, "the inhibited warning")
        told = inbox.alerts("/alerts", alertname=ALERT)
        assert {alert["labels"]["severity"] for alert in told} == {"critical"}
        assert told[0]["labels"]["environment"] == "test"
        sale.reason = "sold_out"
        over = {"alertname": ALERT, "severity": "critical", "status": "resolved"}
        wait_until(lambda: inbox.alerts("/alerts", **over), 60, "the resolution at the webhook")
        check_the_other_receivers(inbox, mailbox)
        silence_as_the_runbook_says(stack)


def check_the_other_receivers(inbox: Inbox, mailbox: Mailbox) -> None:
    """Chat and mail have heard of both as well, the watchdog's service of nothing else; secrets came from files."""
    title = f"[critical, test] {ALERT}"
    chat = [post.body["attachments"][0] for post in inbox.posts if post.path == "/slack"]
    first = next(message for message in chat if message["title"] == title)
    assert first["color"] == "danger"
    assert "of the orders fail because of faults" in first["text"]
    assert '"timeout"*' in first["text"]
    assert f"docs/runbooks/{ALERT}.md" in first["text"]
    wait_until(lambda: any(f"Subject: {title}" in mail for mail in mailbox.messages), 10, "a mail")
    over = wait_until(lambda: resolved_in_chat(inbox), 10, "the resolution in the chat")
    assert re.fullmatch(rf"Resolved after (\d+m)?\d+s: {ALERT}", over.strip())
    wait_until(lambda: any(f"Subject: [resolved, test] {ALERT}" in mail for mail in mailbox.messages), 10, "another")
    assert mailbox.credentials == {"\0flash-sale\0mail-secret"}
    assert {alert["labels"]["alertname"] for alert in inbox.alerts("/watchdog")} == {"Watchdog"}
    assert {post.authorization for post in inbox.posts if post.path != "/slack"} == {"Bearer webhook-secret"}


def resolved_in_chat(inbox: Inbox) -> str | None:
    """Return what the chat was told of the end, if it was."""
    chat = [post.body["attachments"][0] for post in inbox.posts if post.path == "/slack"]
    return next((message["text"] for message in chat if message["title"].startswith("[resolved, test]")), None)


def silence_as_the_runbook_says(stack: Stack) -> None:
    """The line of the runbook is understood, and Alertmanager keeps to it."""
    text = (ROOT / "docs" / "runbooks" / f"{ALERT}.md").read_text()
    line = next(line for line in text.splitlines() if line.startswith("amtool silence add"))
    program, *arguments = shlex.split(line.replace("9093", str(stack.alertmanager)))
    subprocess.run([needs(program), *arguments], check=True, capture_output=True, timeout=20)
    url = f"--alertmanager.url=http://127.0.0.1:{stack.alertmanager}"
    told = subprocess.run([program, "silence", "query", url], check=True, capture_output=True, text=True, timeout=20)
    assert f'alertname="{ALERT}"' in told.stdout


@pytest.mark.needs("prometheus")
def test_the_other_path_in_prometheus_yml_works_as_well(stack: Stack) -> None:
    stack.write("prometheus.yml", metrics_path="metrics_path:")
    stack.start_prometheus()
    orders = 'flash_sale_orders_total{job="sidecar",status="success"}'
    wait_until(lambda: stack.value(orders) == 0, 20, "a scrape of /monitoring/metrics")
    assert stack.value('up{job="sidecar"}') == 1
