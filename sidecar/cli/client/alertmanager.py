"""The firing alerts of an Alertmanager. Requests time out soon, and are rare while it does not answer."""

import http
import http.client
import json
import time
import urllib.request
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from sidecar.cli.client.asking import Asker, is_http
from sidecar.errors import ConfigError

ASK_SECONDS = 1.0
AGAIN_SECONDS = 10.0  # after it did not answer
PATH = "/api/v2/alerts?active=true&silenced=false&inhibited=false"
ALWAYS = "Watchdog"  # fires all the time, to show that alerts get through
SEVERITIES = ("critical", "warning", "info")


class Alert(Struct, frozen=True):
    """A firing alert: how many there are (by product, by instance), since when (Unix seconds), and one summary."""

    name: str
    severity: str
    number: int
    since: float
    summary: str


class Alerts(Struct, frozen=True):
    """The firing alerts, the worst first; or the problem, if they are unknown."""

    firing: tuple[Alert, ...] = ()
    problem: str = ""


class Alertmanager:
    """An Alertmanager."""

    def __init__(self, url: str) -> None:
        if not is_http(url):
            raise ConfigError("--alertmanager must be http:// or https:// with a host, as in http://127.0.0.1:9093")
        self._url = url.rstrip("/")
        self._asker = Asker()
        self._found = Alerts()
        self._due = 0.0

    def firing(self) -> Alerts:
        """Return the alerts that fire now."""
        if time.monotonic() >= self._due:
            self._found = self._ask()
            self._due = time.monotonic() + (AGAIN_SECONDS if self._found.problem else 0.0)
        return self._found

    def _ask(self) -> Alerts:
        try:
            status, body = self._asker.fetch(urllib.request.Request(self._url + PATH), ASK_SECONDS)
        except (OSError, http.client.HTTPException) as exc:
            return Alerts(problem=f"no Alertmanager answers at {self._url} ({getattr(exc, 'reason', exc)})")
        if status != http.HTTPStatus.OK:
            return Alerts(problem=f"{self._url} answers with HTTP {status}: check --alertmanager")
        try:
            return Alerts(firing=tuple(_grouped(json.loads(body))))
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return Alerts(problem=f"what answers at {self._url} is not Alertmanager: check --alertmanager")


def _grouped(found: list[dict[str, Any]]) -> Iterable[Alert]:
    """Group alerts by name and severity, so that 200 products are one line."""
    groups: dict[tuple[int, str, str], list[tuple[float, str]]] = {}
    for one in found:
        labels = one["labels"]
        name, severity = str(labels["alertname"]), str(labels.get("severity", ""))
        rank = SEVERITIES.index(severity) if severity in SEVERITIES else len(SEVERITIES)
        current = (_moment(one["startsAt"]), str(one["annotations"].get("summary", "")))
        if name != ALWAYS:
            groups.setdefault((rank, name, severity), []).append(current)
    for (_, name, severity), alerts in sorted(groups.items()):
        since, summary = min(alerts)
        yield Alert(name, severity, len(alerts), since, summary)


def _moment(text: str) -> float:
    found = datetime.fromisoformat(text)
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
