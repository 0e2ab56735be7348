"""The native stack as a process of its own, on free ports and in a hurry: `with NativeStack(folder) as stack:`."""

import json
import shutil
import signal
import subprocess
import sys
import urllib.parse
import urllib.request
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from monitoring.native.ports import Ports
from tests.e2e.daemon import ROOT
from tests.ports import free_port
from tests.redis_server import client_of
from tests.stack.alerting import MONITORING, SECONDS
from tests.waiting import wait_until

START_SECONDS = 110.0  # a machine with ten times its work; a quiet one needs three


def free_ports() -> Ports:
    """Return ports that nobody else takes before the servers start."""
    return Ports(*(free_port() for _ in fields(Ports)))


class NativeStack:
    """`python -m monitoring.native`; a second one in the same folder goes on where the first one ended."""

    def __init__(self, folder: Path) -> None:
        """Prepare it with the files that are shipped, but for their intervals, which are all 1 s."""
        self.folder = folder / "stack"
        self.files = folder / "monitoring"
        self._said = folder / "said"
        self.folder.mkdir(exist_ok=True)
        if not (ports := self.folder / "ports.json").exists():
            ports.write_text(json.dumps(asdict(free_ports())))
        if not self.files.exists():
            shutil.copytree(MONITORING, self.files, ignore=shutil.ignore_patterns("secrets"))
            for name in ("prometheus.yml", "alertmanager.yml"):
                (self.files / name).write_text(SECONDS.sub(r"\1: 1s", (MONITORING / name).read_text()))
        self.places: dict[str, str] = {}

    def __enter__(self) -> "NativeStack":
        command = [sys.executable, "-m", "monitoring.native", "--free-ports"]
        command += ["--folder", str(self.folder), "--files", str(self.files)]
        with self._said.open("w") as said:
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=said, stderr=said)
        wait_until(self._runs, START_SECONDS, "the native stack")
        lines = [line.split(None, 1) for line in self.said().splitlines() if line.startswith("  ")]
        self.places = {name: place.strip() for name, place in lines}
        return self

    def __exit__(self, *exception: object) -> None:
        if self.process.poll() is None:
            self.stop()

    def _runs(self) -> bool:
        assert self.process.poll() is None, self.said()
        return "Ctrl-C stops it." in self.said()

    def said(self) -> str:
        """Return what it has printed."""
        return self._said.read_text()

    def stop(self) -> int:
        """Press Ctrl-C, wait, and return the exit status."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(30)

    def passwords(self) -> dict[str, str]:
        """Return the passwords by the names of their variables."""
        return dict(line.split("=", 1) for line in Path(self.places["passwords"]).read_text().splitlines())

    def server(self, name: str, user: str = "admin") -> Any:
        """Return a client of redis-primary or redis-replica: whichever role it has by now."""
        return self._client(self.places[name], user)

    def primary(self, user: str = "admin") -> Any:
        """Return a client of the primary that a Sentinel names."""
        sentinel = client_of(int(self.places["sentinels"].split()[0].rpartition(":")[2]))
        host, port = sentinel.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "sale")
        return self._client(f"{host.decode()}:{port.decode()}", user)

    def _client(self, place: str, user: str) -> Any:
        variable = {"flash-sale-backend": "PUBLISHER"}.get(user, user.upper())
        password = self.passwords()[f"REDIS_{variable}_PASSWORD"]
        return redis.Redis(
            port=int(place.rpartition(":")[2]),
            username=user,
            password=password,
            socket_timeout=5,
            retry=Retry(NoBackoff(), 0),
        )

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return what Prometheus says to an expression."""
        found: list[dict[str, Any]] = self.get("prometheus", f"/api/v1/query?query={urllib.parse.quote(expression)}")[
            "data"
        ]["result"]
        return found

    def get(self, name: str, path: str) -> Any:
        """Return the JSON at a path of one of the places."""
        with urllib.request.urlopen(self.places[name] + path, timeout=10) as answer:
            return json.load(answer)

    def post(self, name: str, path: str) -> None:
        """Post nothing to a path of one of the places."""
        urllib.request.urlopen(self.places[name] + path, b"", timeout=10).close()

    def received(self) -> int:
        """Return how many events the sidecar has counted."""
        return int(self.get("sidecar", "/monitoring/metrics")["completeness"]["received"])
