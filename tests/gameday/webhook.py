"""The receivers of the game day: an HTTP server that notes when which alert arrived."""

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

from tests.gameday.judge import Notice

NO_NAME = ("alertname", "severity")


class Webhook(ThreadingHTTPServer):
    """Listen on a free port and keep a notice of every alert of every message, until `close`."""

    daemon_threads = True

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """Listen; `now` says when something arrives."""
        super().__init__(("127.0.0.1", 0), _Handler)
        self.notices: list[Notice] = []
        self.largest = 0  # alerts in one message
        self._now = now
        threading.Thread(target=self.serve_forever, args=(0.1,), daemon=True).start()

    def take(self, message: dict[str, Any]) -> None:
        """Note what a message says."""
        at = self._now()
        self.largest = max(self.largest, len(message["alerts"]))
        self.notices += [_notice(at, alert) for alert in message["alerts"]]

    def close(self) -> None:
        """Listen no more."""
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: Webhook

    def do_POST(self) -> None:  # the name is http.server's
        self.server.take(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def _notice(at: float, alert: dict[str, Any]) -> Notice:
    labels = alert["labels"]
    return Notice(
        at=at,
        status=alert["status"],
        alert=labels["alertname"],
        severity=labels.get("severity", ""),
        labels=" ".join(f"{name}={labels[name]}" for name in sorted(labels) if name not in NO_NAME),
        summary=alert["annotations"].get("summary", ""),
    )


def lead_to(port: int, shipped: Path, written: Path) -> None:
    """Write the shipped settings of Alertmanager with every receiver replaced by the webhook on a port."""
    settings = yaml.safe_load(shipped.read_text())
    for receiver in settings["receivers"]:
        url = f"http://127.0.0.1:{port}/{receiver['name']}"
        name = receiver["name"]
        receiver.clear()
        receiver |= {"name": name, "webhook_configs": [{"url": url, "send_resolved": True}]}
    written.write_text(yaml.safe_dump(settings, sort_keys=False))
