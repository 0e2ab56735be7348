"""Real servers for tests: private, on free loopback ports, without persistence unless asked for.

Which server: that of `make test SERVER=path`, else the one that `--embedded-redis` takes.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from sidecar.errors import ConfigError
from tests.ports import free_port
from tests.programs import missing
from tests.waiting import wait_until

VARIABLE = "TEST_SERVER"
QUIET = ("--save", "", "--appendonly", "no")
DURABLE = ("--save", "", "--appendonly", "yes", "--appendfsync", "always")


def redis_program() -> str:
    """Return the path of the server that tests use; skip the test where there is none."""
    if chosen := os.environ.get(VARIABLE):
        return chosen
    try:
        return _found()
    except ConfigError as exc:
        missing(str(exc))


@cache
def _found() -> str:
    from sidecar.store.embedded import find_server  # tests that need no Redis need not import the store

    return find_server()


def tls_program() -> str:
    """Return the path of a server that has TLS, as not every build has; skip the test where there is none."""
    others = [] if VARIABLE in os.environ else [shutil.which("redis-server"), shutil.which("valkey-server")]
    for program in (redis_program(), *others):
        if program and _has_tls(program):
            return program
    missing("no server with TLS is installed")


@cache
def redis_version(program: str) -> int:
    """Return the major version of a server."""
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    return int(told.partition(" v=")[2].partition(".")[0])


@cache
def _has_tls(program: str) -> bool:
    """Return whether a server has TLS: then it complains that no certificate is configured, and ends."""
    command = [program, "--port", "0", "--tls-port", "1"]
    tried = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=10, check=False)
    return b"Failed to configure TLS" in tried.stdout


def client_of(port: int, *, patience: float = 5.0) -> Any:
    """Return a client that says at once when nobody answers; `patience` is in seconds."""
    return redis.Redis(port=port, socket_timeout=patience, retry=Retry(NoBackoff(), 0))


class RedisServer:
    """One server process that a test may stop, kill, freeze and start again on the same port and data."""

    def __init__(self, program: str, folder: Path, *options: str) -> None:
        """Prepare a server; `options` are command line options, by default `QUIET`."""
        self.folder = folder
        self.port = free_port()
        self.login = ""  # `user:password@` for the URL
        self._options = options or QUIET
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The URL to connect to."""
        return f"redis://{self.login}127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether its process is there, frozen perhaps."""
        return not self._ended()

    def start(self) -> "RedisServer":
        """Start it and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for _ in range(3):
            self._process = subprocess.Popen(
                [
                    *(self._program, "--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.folder)),
                    *("--logfile", "redis.log", *self._options),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            if wait_until(lambda: self._ended() or self.is_ready(), 10, "the Redis server") and not self._ended():
                return self
            self.port = free_port()  # somebody took the port first
        raise AssertionError(f"redis-server does not start: {(self.folder / 'redis.log').read_text()[-500:]}")

    def is_ready(self) -> bool:
        """Tell whether this very process answers and has loaded its data."""
        try:
            answer = self.ask("INFO server", "PING")
        except OSError:
            return False
        guarded = answer.startswith("-NOAUTH")  # it wants a password, which is answer enough
        return guarded or (f"process_id:{self.pid}\r\n" in answer and answer.endswith("+PONG\r\n"))

    def ask(self, *commands: str) -> str:
        """Send inline commands followed by QUIT and return the raw replies, without the one to QUIT."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
            connection.sendall("".join(f"{command}\r\n" for command in (*commands, "QUIT")).encode())
            replies = b"".join(iter(lambda: connection.recv(65536), b""))
        return replies.decode().removesuffix("+OK\r\n")

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it with a signal and wait; nothing happens if it does not run."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process.pid, signal.SIGCONT)
            self._process.send_signal(number)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def kill(self) -> None:
        """End it at once, as a crash does."""
        self.stop(signal.SIGKILL)

    def freeze(self) -> None:
        """Stop it in its tracks: connections stay open, nothing is answered."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen server go on."""
        os.kill(self.pid, signal.SIGCONT)

    def _ended(self) -> bool:
        return self._process is None or self._process.poll() is not None
