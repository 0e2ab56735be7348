"""Who is let in by which header, what is asked for, and how denials are counted and logged."""

import re
from base64 import b64encode
from pathlib import Path

import bcrypt
import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from sidecar.config.structs import HttpConfig, Secret
from sidecar.errors import ConfigError
from sidecar.exposition.access import passwords
from sidecar.exposition.access.guard import SHOWN_CHARACTERS, Guard
from sidecar.process.telemetry import Telemetry

OPEN = HttpConfig()
TOKENS = HttpConfig(read_token=Secret("reader"), admin_token=Secret("admin"))


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "PAUSE_SECONDS", 0.001)


class Door:
    """A guard with its own telemetry and time."""

    def __init__(self, http: HttpConfig) -> None:
        self.now = 0.0
        self.registry = CollectorRegistry()
        telemetry = Telemetry(self.registry, version="1", sources=())
        self.guard = Guard(http, telemetry=telemetry, clock=lambda: self.now)

    def denials(self, server: str, reason: str) -> float | None:
        labels = {"server": server, "reason": reason}
        return self.registry.get_sample_value("flash_sale_sidecar_requests_refused_total", labels)


def bearer(token: str) -> str:
    return f"Bearer {token}"


def basic(name: str, password: str) -> str:
    return "Basic " + b64encode(f"{name}:{password}".encode()).decode()


def with_users(folder: Path, **passwords: str) -> HttpConfig:
    """Return a configuration with a web file of these users."""
    users = {name: bcrypt.hashpw(one.encode(), bcrypt.gensalt(4)).decode() for name, one in passwords.items()}
    file = folder / "web.yml"
    file.write_text("basic_auth_users:\n" + "".join(f"  {name}: '{hashed}'\n" for name, hashed in users.items()))
    return HttpConfig(web_config_file=str(file))


async def test_without_tokens_and_users_everybody_reads_and_nobody_administers() -> None:
    guard = Door(OPEN).guard
    assert guard.open
    assert guard.challenge == ""
    assert await guard.reads(None, "::1") == "right"
    assert not guard.administers(bearer(""))


@pytest.mark.parametrize(
    ("header", "reads", "administers"),
    [
        (bearer("reader"), "right", False),
        (bearer("admin"), "right", True),
        (bearer("guess"), "wrong", False),
        (basic("reader", "reader"), "wrong", False),
        (None, "wrong", False),
    ],
    ids=["reader", "admin", "guess", "user", "nothing"],
)
async def test_what_a_header_opens(header: str | None, reads: str, administers: bool) -> None:
    guard = Door(TOKENS).guard
    assert not guard.open
    assert await guard.reads(header, "::1") == reads
    assert guard.administers(header) == administers
    assert guard.knows(header) == (reads == "right")


async def test_users_read_by_name_and_password(tmp_path: Path) -> None:
    guard = Door(with_users(tmp_path, ann="right")).guard
    assert not guard.open
    assert await guard.reads(basic("ann", "right"), "::1") == "right"
    assert await guard.reads(basic("ann", "guess"), "::1") == "wrong"
    assert await guard.reads(bearer("right"), "::1") == "wrong"
    assert await guard.reads(None, "::1") == "wrong"


def test_it_asks_for_what_opens(tmp_path: Path) -> None:
    assert Door(TOKENS).guard.challenge.startswith("Bearer ")
    assert "http.read_token" in Door(TOKENS).guard.wanted
    users = with_users(tmp_path, ann="right")
    assert Door(users).guard.challenge.startswith("Basic ")
    both = HttpConfig(web_config_file=users.web_config_file, read_token=Secret("reader"))
    assert re.findall(r"(\w+) realm", Door(both).guard.challenge) == ["Bearer", "Basic"]
    assert ", or name and password" in Door(both).guard.wanted


async def test_a_reload_takes_other_tokens_and_users(tmp_path: Path) -> None:
    guard = Door(TOKENS).guard
    assert guard.reload(with_users(tmp_path, ann="right"))
    assert await guard.reads(bearer("reader"), "::1") == "wrong"
    assert await guard.reads(basic("ann", "right"), "::1") == "right"


async def test_a_file_that_cannot_be_used_changes_nothing(tmp_path: Path) -> None:
    guard = Door(TOKENS).guard
    (tmp_path / "web.yml").write_text("nonsense: 1\n")
    with pytest.raises(ConfigError):
        guard.reload(HttpConfig(web_config_file=str(tmp_path / "web.yml")))
    assert await guard.reads(bearer("reader"), "::1") == "right"


def test_every_denial_is_counted_and_one_of_a_kind_is_logged_at_a_time() -> None:
    door = Door(TOKENS)
    with capture_logs() as logs:
        for _ in range(3):
            door.guard.denied("http", "token", "192.0.2.1", path="/metrics")
        door.guard.denied("http", "host", "192.0.2.1", host="x" * 1000, origin=None)
        door.guard.denied("websocket", "token", "192.0.2.1")
        door.now += 11
        door.guard.denied("http", "token", "192.0.2.2")
    assert (door.denials("http", "token"), door.denials("http", "host"), door.denials("websocket", "token")) == (
        4,
        1,
        1,
    )
    assert [(line["server"], line["reason"], line["suppressed"]) for line in logs] == [
        ("http", "token", 0),
        ("http", "host", 0),
        ("websocket", "token", 0),
        ("http", "token", 2),
    ]
    assert logs[0]["path"] == "/metrics"
    assert len(logs[1]["host"]) == SHOWN_CHARACTERS
    assert "origin" not in logs[1]
