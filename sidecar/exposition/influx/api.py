"""The write APIs of InfluxDB: URL, headers, and what an answer means. Pure."""

import json
from base64 import b64encode
from http import HTTPStatus
from typing import Literal

from msgspec import Struct

from sidecar.config import InfluxConfig

# The outcome of a request; after `again` the batch is sent again.
WriteOutcome = Literal["written", "refused", "again"]

# Errors other than 5xx that may pass; all others would recur.
LATER = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)
FIXES: dict[int, str] = {
    HTTPStatus.UNAUTHORIZED: "check influx.token, or influx.username and influx.password",
    HTTPStatus.FORBIDDEN: "give this user or token the right to write there",
    HTTPStatus.NOT_FOUND: "create the database or bucket, or check it, influx.url and influx.org",
}
SHOWN_CHARACTERS = 200


class WriteAnswer(Struct, frozen=True):
    """The outcome of a request; `problem` is empty if there was none."""

    outcome: WriteOutcome
    problem: str = ""


def endpoint(config: InfluxConfig) -> tuple[str, dict[str, str]]:
    """Return URL and query parameters: a database is InfluxDB 1.x, a bucket 2.x."""
    root = config.url.rstrip("/")
    if config.database:
        return f"{root}/write", {"db": config.database, "precision": "ns"}
    organization = {"org": config.org} if config.org else {}  # InfluxDB 3 has the same API without organizations
    return f"{root}/api/v2/write", {"bucket": config.bucket, "precision": "ns", **organization}


def headers(config: InfluxConfig) -> dict[str, str]:
    """Return the headers of every request."""
    shared = {"Content-Type": "text/plain; charset=utf-8", "Content-Encoding": "gzip"}
    if config.token:
        return {**shared, "Authorization": f"Token {config.token}"}
    if config.username:
        credentials = b64encode(f"{config.username}:{config.password}".encode()).decode()
        return {**shared, "Authorization": f"Basic {credentials}"}
    return shared


def secrets(config: InfluxConfig) -> tuple[str, ...]:
    """Return what no message may quote: the configured secrets, and how they are sent."""
    return config.token, config.password, headers(config).get("Authorization", "").rpartition(" ")[2]


def judge(status: int, body: bytes, *, hidden: tuple[str, ...] = ()) -> WriteAnswer:
    """Interpret an answer; the problem quotes the beginning of its message, without the `hidden` texts."""
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return WriteAnswer("written")
    text = message(body)
    for secret in filter(None, hidden):
        text = text.replace(secret, "***")
    parts = [f"HTTP {status}", text[:SHOWN_CHARACTERS], FIXES.get(status, "")]
    problem = ": ".join(filter(None, parts))
    again = status in LATER or status >= HTTPStatus.INTERNAL_SERVER_ERROR
    return WriteAnswer("again" if again else "refused", problem)


def message(body: bytes) -> str:
    """Return the server's message in one line: `error` of 1.x, `message` of 2.x, or the whole body."""
    text = body.decode("utf-8", "replace")
    try:
        document = json.loads(text)
        text = str(document.get("error") or document.get("message") or "")
    except (ValueError, AttributeError, RecursionError):
        pass
    return " ".join(text.split())
