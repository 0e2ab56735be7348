"""Prometheus and Alertmanager with the files of monitoring/, on free ports and in a hurry, and who hears from them."""

import base64
import json
import os
import re
import socketserver
import subprocess
import threading
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

from tests.ports import free_port
from tests.programs import needs
from tests.waiting import wait_until

MONITORING = Path(__file__).parents[2] / "monitoring"
SECONDS = re.compile(r"(scrape_interval|scrape_timeout|evaluation_interval|group_wait|group_interval): \d+[sm]")
SECRETS = {"webhook_token": "webhook-secret", "smtp_password": "mail-secret"}
START_SECONDS = 60.0  # a machine with twenty times its work; a quiet one needs one


class Post(NamedTuple):
    """What was posted: to which path, with which `Authorization`, and the JSON."""

    path: str
    authorization: str
    body: dict[str, Any]


class Inbox(ThreadingHTTPServer):
    """An HTTP server that keeps what is posted to it."""

    daemon_threads = True

    def __init__(self) -> None:
        self.posts: list[Post] = []
        super().__init__(("127.0.0.1", 0), _PostHandler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def alerts(self, path: str, **labels: str) -> list[dict[str, Any]]:
        """Return the alerts that were posted to a path and bear these labels; `status` is the one of the alert."""
        status = labels.pop("status", None)
        return [
            alert
            for post in tuple(self.posts)
            if post.path == path
            for alert in post.body["alerts"]
            if alert["status"] == (status or alert["status"]) and labels.items() <= alert["labels"].items()
        ]


class _PostHandler(BaseHTTPRequestHandler):
    server: Inbox

    def do_POST(self) -> None:  # the name is http.server's
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.posts.append(Post(self.path, self.headers.get("Authorization", ""), body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


class Mailbox(socketserver.ThreadingTCPServer):
    """An SMTP server that keeps the messages, and the user and password they came with."""

    daemon_threads = True

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.credentials: set[str] = set()
        super().__init__(("127.0.0.1", 0), _MailHandler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _MailHandler(socketserver.StreamRequestHandler):
    server: Mailbox

    def handle(self) -> None:
        self._say("220 mailbox")
        for line in self.rfile:
            verb = line[:4].upper()
            if verb == b"EHLO":
                self._say("250-mailbox\r\n250 AUTH PLAIN")
            elif verb == b"AUTH":
                self.server.credentials.add(base64.b64decode(line.split()[2]).decode())
                self._say("235 welcome")
            elif verb == b"DATA":
                self._say("354 go on")
                self.server.messages.append(b"".join(iter(self.rfile.readline, b".\r\n")).decode())
                self._say("250 kept")
            else:
                self._say("221 bye" if verb == b"QUIT" else "250 fine")

    def _say(self, reply: str) -> None:
        self.wfile.write(f"{reply}\r\n".encode())


class Stack:
    """One Prometheus and one Alertmanager in a folder laid out as compose and the native stack lay it out."""

    def __init__(self, folder: Path, *, sidecar: int) -> None:
        """Write the files for a sidecar on a port; the caller starts it, and ends it with `stop`."""
        self.folder = folder
        self.prometheus, self.alertmanager = free_port(), free_port()
        self._processes: list[subprocess.Popen[bytes]] = []
        for name in ("rules", "templates"):
            (folder / name).symlink_to(MONITORING / name)
        ports = {"sidecar": sidecar, "alertmanager": self.alertmanager, "prometheus": self.prometheus}
        _write_targets(folder, ports)
        self.write("prometheus.yml")

    def write(self, name: str, **replacements: str) -> None:
        """Copy a file of monitoring/ with all intervals 1 s; names in `replacements` are looked up in `REPLACED`."""
        text, found = SECONDS.subn(r"\1: 1s", (MONITORING / name).read_text())
        assert found
        for key, new in replacements.items():
            assert REPLACED[key] in text, key
            text = text.replace(REPLACED[key], new)
        (self.folder / name).write_text(text)

    def start_prometheus(self, config: str = "prometheus.yml") -> None:
        """Start it with the environment `test`, and wait until it is ready."""
        self._start(
            "prometheus",
            f"--config.file={self.folder / config}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.prometheus}",
            "--enable-feature=expand-external-labels",
            "--rules.alert.resend-delay=5s",  # the first alerts are sent before Alertmanager is discovered
        )
        self._wait(self.prometheus)

    def start_alertmanager(self, inbox: Inbox, mailbox: Mailbox) -> None:
        """Start it with receivers that lead to these, and wait until it is ready."""
        http = f"127.0.0.1:{inbox.server_address[1]}"
        self.write("alertmanager.yml", webhook=http, mail=f"127.0.0.1:{mailbox.server_address[1]}", tls="tls: false")
        (self.folder / "secrets").mkdir()
        for name, secret in (SECRETS | {"slack_api_url": f"http://{http}/slack"}).items():
            (self.folder / "secrets" / name).write_text(secret)
        self._start(
            "prometheus-alertmanager",
            f"--config.file={self.folder / 'alertmanager.yml'}",
            f"--storage.path={self.folder / 'notified'}",
            f"--web.listen-address=127.0.0.1:{self.alertmanager}",
            "--cluster.listen-address=",
        )
        self._wait(self.alertmanager)

    def value(self, expression: str) -> float | None:
        """Return what Prometheus says to an expression that gives one series, `None` if it gives none."""
        query = urllib.parse.urlencode({"query": expression})
        result = _get(f"http://127.0.0.1:{self.prometheus}/api/v1/query?{query}")["data"]["result"]
        assert len(result) < 2, result
        return float(result[0]["value"][1]) if result else None

    def suppressed(self, *matchers: str) -> list[dict[str, Any]]:
        """Return the alerts that Alertmanager keeps to itself."""
        query = urllib.parse.urlencode({"filter": matchers, "active": "false"}, doseq=True)
        alerts: list[dict[str, Any]] = _get(f"http://127.0.0.1:{self.alertmanager}/api/v2/alerts?{query}")
        return alerts

    def log(self, program: str) -> str:
        """Return what a program has said."""
        return (self.folder / f"{program}.log").read_text()

    def stop(self) -> None:
        """End what was started."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait(10)

    def _start(self, program: str, *arguments: str) -> None:
        with (self.folder / f"{program}.log").open("w") as log:
            environment = {**os.environ, "SIDECAR_ENVIRONMENT": "test"}
            self._processes.append(
                subprocess.Popen([needs(program), *arguments], cwd=self.folder, env=environment, stdout=log, stderr=log)
            )

    def _wait(self, port: int) -> None:
        wait_until(lambda: _answers(f"http://127.0.0.1:{port}/-/ready"), START_SECONDS, f"{self.folder}/*.log: ready")


# What stands in the files of monitoring/ for the place of the receivers, and what a test puts there.
REPLACED = {
    "webhook": "127.0.0.1:9099",
    "mail": "127.0.0.1:587",
    "tls": "tls: true",
    "metrics_path": "# metrics_path:",
    "storage": "victoria-metrics:8428",
}


def _write_targets(folder: Path, ports: dict[str, int]) -> None:
    """Write targets/*.yml as monitoring/targets has them; a job without a port has an empty file."""
    (folder / "targets").mkdir()
    for example in (MONITORING / "targets" / "native").iterdir():
        port = ports.get(example.stem)
        (folder / "targets" / example.name).write_text(f'- targets: ["127.0.0.1:{port}"]\n' if port else "[]\n")


def _get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
