"""No secret leaves the daemon: not in its log, at any level, not in an answer, not in an error."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import urllib.parse
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bcrypt
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.typing import Subprotocol

from tests.cli.commands import execute
from tests.conftest import StartRedis
from tests.e2e.daemon import ROOT, Daemon
from tests.redis_server import QUIET, RedisServer
from tests.security.front import throw
from tests.waiting import wait_until

# Every kind of secret, right and wrong; each can be found whatever surrounds it.
SECRETS = {
    name: f"Zz{n}SECRET{name}"
    for n, name in enumerate(
        (
            *("redis", "read", "admin", "login", "wrongtoken", "wrongadmin", "wronglogin", "wrongredis", "wrongquery"),
            "influx",
        )
    )
}
HASH = bcrypt.hashpw(SECRETS["login"].encode(), bcrypt.gensalt(4)).decode()


def leaks(text: str) -> list[str]:
    """Return the names of the secrets in a text, as they are or as they travel."""
    found = []
    for name, secret in {**SECRETS, "hash": HASH}.items():
        forms = {
            secret,
            urllib.parse.quote(secret, safe=""),
            b64encode(secret.encode()).decode().rstrip("="),
            b64encode(f"ann:{secret}".encode()).decode().rstrip("="),
        }
        if any(form in text for form in forms):
            found.append(name)
    return found


@pytest.fixture
def guarded(start_redis: StartRedis) -> RedisServer:
    """A Redis with a password."""
    return start_redis(*QUIET, "--requirepass", SECRETS["redis"])


@pytest.fixture
def daemon(tmp_path: Path, guarded: RedisServer) -> Iterator[Daemon]:
    """A daemon with every kind of secret, which logs all it can."""
    (tmp_path / "admin").write_text(SECRETS["admin"])
    (tmp_path / "web.yml").write_text(f"basic_auth_users: {{ann: '{HASH}'}}")
    settings = (
        f"{{http: {{read_token: {SECRETS['read']}, admin_token_file: {tmp_path}/admin, "
        f"web_config_file: {tmp_path}/web.yml}}, influx: {{url: 'http://127.0.0.1:1', bucket: b, "
        f"token: {SECRETS['influx']}, interval: 1s}}, log: {{level: debug}}, commit_interval: 100ms}}"
    )
    daemon = Daemon(tmp_path, f"redis://:{SECRETS['redis']}@127.0.0.1:{guarded.port}/0", settings=settings)
    daemon.start()
    yield daemon
    daemon.end()


@pytest.mark.campaign
def test_a_daemon_in_every_kind_of_trouble_tells_no_secret(
    daemon: Daemon, guarded: RedisServer, tmp_path: Path
) -> None:
    answers = asyncio.run(ask_everything(daemon))
    assert len(answers) > 30
    assert leaks(answers) == []

    settings = tmp_path / "daemon.yml"
    whole = settings.read_text()
    assert daemon.process is not None
    for n, text in enumerate(
        (
            f"http: {{read_token: [{SECRETS['read']}]}}",
            f"http: {{read_token: *{SECRETS['read']}}}",
            f"http: {{read_tokn: {SECRETS['read']}}}",
            f"redis: {{password: {SECRETS['redis']}, password_file: x}}",
        ),
        1,
    ):
        settings.write_text(text)
        daemon.process.send_signal(signal.SIGHUP)
        wait_until(lambda n=n: daemon.log.read_text().count("not reloaded") == n, 10, "a refused reload")  # type: ignore[misc]
    settings.write_text(whole)
    (tmp_path / "web.yml").write_text(f"basic_auth_users: {{ann: '{HASH} ', bob: {SECRETS['login']}}}")
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: daemon.log.read_text().count("not reloaded") == 5, 10, "a refused reload")

    guarded.kill()
    wait_until(lambda: "Redis is away" in daemon.log.read_text(), 10, "the loss of Redis")
    assert leaks(asyncio.run(ask_everything(daemon))) == []
    daemon.stop()
    log = daemon.log.read_text()
    assert "request denied" in log
    assert "InfluxDB is away" in log
    assert leaks(log) == []


async def ask_everything(daemon: Daemon) -> str:
    """Ask everything in every wrong way; return all that came back."""
    http, ws = ("127.0.0.1", daemon.http), ("127.0.0.1", daemon.ws)
    wrong = (
        f"Bearer {SECRETS['wrongtoken']}",
        "Basic " + b64encode(f"ann:{SECRETS['wronglogin']}".encode()).decode(),
        f"{SECRETS['wrongtoken']}",
    )
    right = (f"Bearer {SECRETS['read']}", "Basic " + b64encode(f"ann:{SECRETS['login']}".encode()).decode())
    paths = ("/", "/metrics", "/monitoring/metrics", "/monitoring/health", "/monitoring/history", "/openapi.json")
    requests = [("GET", path, value) for path in paths for value in (*wrong, *right)]
    clear = "/monitoring/metrics/clear"
    requests += [("POST", clear, f"Bearer {SECRETS['wrongadmin']}"), ("POST", clear, f"Bearer {SECRETS['admin']}")]
    requests += [("GET", f"/metrics?token={SECRETS['wrongquery']}", right[0]), ("GET", "/nothing", right[0])]
    heads = [
        f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {value}\r\n" for method, path, value in requests
    ]
    heads += [f"GET /metrics HTTP/1.1\r\nHost: evil.example\r\nAuthorization: {right[0]}\r\n"]
    heads += [f"GET /metrics HTTP/9.1\r\nHost: localhost\r\nAuthorization : {right[0]}\r\n"]
    answers = await asyncio.gather(*(throw(http, f"{head}Connection: close\r\n\r\n".encode()) for head in heads))
    said = b"".join(answers).decode(errors="replace")
    carried: list[dict[str, Any]] = [
        {"additional_headers": {"Authorization": wrong[0]}},
        {"additional_headers": {"Authorization": right[1]}},
        {
            "subprotocols": [
                Subprotocol("bearer." + urlsafe_b64encode(SECRETS["wrongtoken"].encode()).decode().rstrip("="))
            ]
        },
    ]
    for options in carried:
        try:
            async with connect(f"ws://{ws[0]}:{ws[1]}/", proxy=None, **options) as client:
                for message in (
                    {"event": "authenticate", "data": {"token": SECRETS["wrongtoken"]}},
                    {"event": "authenticate", "data": {"token": [SECRETS["wrongtoken"]]}},
                    {"event": "authenticate", "data": {"token": SECRETS["read"]}},
                    {"event": "get-benchmark-report"},
                    {"event": "subscribe-metrics", "data": {"topics": ["system"]}},
                ):
                    await client.send(json.dumps(message))
                async with asyncio.timeout(5):
                    for _ in range(6):
                        said += str(await client.recv())
        except (ConnectionClosed, InvalidHandshake) as exc:
            said += str(exc)
    return said


@pytest.mark.parametrize(
    ("environ", "arguments"),
    [
        ({"SIDECAR_REDIS_PASSWORD": SECRETS["wrongredis"]}, ("run",)),
        ({"SIDECAR_REDIS_PASSWORD": SECRETS["wrongredis"]}, ("check",)),
        ({"SIDECAR_REDIS_URL": f"redis://ann:{SECRETS['wrongredis']}@127.0.0.1:PORT/0"}, ("run",)),
        ({}, ("run", "--redis-url", f"redis://:{SECRETS['wrongredis']}@127.0.0.1:PORT/0")),
        ({}, ("report", "--redis-url", f"redis://:{SECRETS['wrongredis']}@127.0.0.1:PORT/0")),
        ({}, ("run", "--redis-url", f"redis://:{SECRETS['wrongredis']}@127.0.0.1:1/0/0")),
        ({"SIDECAR_HTTP_LISTEN": "x", "SIDECAR_HTTP_READ_TOKEN": SECRETS["read"]}, ("run",)),
        ({"SIDECAR_HTTP_READ_TOKE": SECRETS["read"]}, ("check", "--offline")),
        ({"SIDECAR_HTTP_ADMIN_TOKEN": SECRETS["wrongadmin"]}, ("report", "--url", "http://127.0.0.1:1")),
    ],
)
@pytest.mark.parametrize("dev", [False, pytest.param(True, marks=pytest.mark.campaign)])
def test_a_command_that_fails_tells_no_secret(
    environ: dict[str, str], arguments: tuple[str, ...], dev: bool, guarded: RedisServer
) -> None:
    """Not even in the traceback that a fault shows in Python's development mode."""

    def filled(text: str) -> str:
        return text.replace("PORT", str(guarded.port)) if "@" in text else text

    settings = {"SIDECAR_REDIS_URL": f"redis://127.0.0.1:{guarded.port}/0", "SIDECAR_LOG_LEVEL": "debug"}
    ports = (
        ("--http", "127.0.0.1:0", "--ws", "127.0.0.1:0")
        if arguments == ("run",) and "SIDECAR_HTTP_LISTEN" not in environ
        else ()
    )
    environment = {**settings, **{name: filled(value) for name, value in environ.items()}}
    command = [*map(filled, arguments), *ports]
    if dev:
        done = subprocess.run(
            [sys.executable, "-X", "dev", "-m", "sidecar", *command],
            cwd=ROOT,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    else:
        done = execute(*command, seconds=30, PYTHONASYNCIODEBUG="1", **environment)
    assert leaks(done.stdout + done.stderr) == []
    assert done.stdout + done.stderr
