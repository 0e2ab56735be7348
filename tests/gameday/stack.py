"""A lane's stack: the programs and files of `make stack-native`, on free ports, with receivers of its own."""

import json
import resource
import signal
import threading
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import redis

from monitoring.native.layout import Program, lay_out
from monitoring.native.ports import Ports
from monitoring.native.supervise import Process, Stack
from tests.gameday.publisher import Address
from tests.gameday.webhook import lead_to
from tests.ports import free_port
from tests.redis_server import client_of
from tests.stack.alerting import MONITORING

START_SECONDS = 120.0
SENTINELS = ("redis-replica", "sentinel-1", "sentinel-2", "sentinel-3")
PRIMARY, SIDECAR, STANDBY = "redis-primary", "sidecar", "standby"


class LaneStack:
    """Start and stop its programs by name, freeze and kill them, fill the disk of its Redis."""

    def __init__(self, folder: Path, webhook: int, *, sentinels: bool = False, standby: bool = False) -> None:
        """Write its files; without Sentinels there is one Redis alone."""
        self.ports = Ports(*(free_port() for _ in fields(Ports)))
        self.standby_port = free_port()
        self._folder = folder
        self._sentinels = sentinels
        programs = lay_out(folder, self.ports, _files(folder / "monitoring", webhook))
        # Redis that cannot write into a file that grew too large is told so, instead of being ended by a signal.
        programs = [_deaf_to_xfsz(one) if one.name == PRIMARY else one for one in programs]
        if not sentinels:
            programs = self._alone(programs)
        if standby:
            programs = self._with_standby(programs)
        self._said: list[str] = []
        self._stack = Stack(programs, folder / "log", self._said.append)

    def start(self, stop: threading.Event) -> str:
        """Start it; return what is wrong, nothing if all is well."""
        return "" if self._stack.start(START_SECONDS, stop.wait) else " ".join(" ".join(self._said).split())

    def is_quiet(self) -> bool:
        """Tell whether Prometheus sees a sidecar that counts, and has no alert but the one that always fires."""
        answer = get(self.ports.prometheus, "/api/v1/alerts")
        counts = get(self.ports.prometheus, "/api/v1/query?query=flash_sale_info")
        if not answer or not counts or not counts["data"]["result"]:
            return False
        return {one["labels"]["alertname"] for one in answer["data"]["alerts"]} <= {"Watchdog"}

    def stop(self) -> None:
        """End all that was started, frozen or not."""
        for process in self._stack.processes:
            process.end(signal.SIGCONT)
        self._stack.stop()

    def send(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a program, and wait where it ends at once."""
        process = self._process(name)
        process.end(number)
        deadline = time.monotonic() + 1
        while number == signal.SIGKILL and not process.has_ended and time.monotonic() < deadline:
            time.sleep(0.01)

    def again(self, name: str) -> None:
        """Start one that has ended."""
        process = self._process(name)
        assert process.has_ended, f"{name} still runs"
        self._stack.processes.remove(process)
        self._stack.processes.append(Process(process.program, process.log))

    def empty(self, name: str) -> None:
        """Remove the data of one that has ended."""
        for file in (self._folder / name / "data").rglob("*.*"):
            file.unlink()

    def run(self, program: Program) -> None:
        """Start another program, which ends with the stack."""
        self._stack.processes.append(Process(program, self._folder / "log" / f"{program.name}.log"))

    def fill_disk(self, *, full: bool) -> None:
        """Let the files of the Redis grow no more, or again."""
        pid = self._process(PRIMARY).pid
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        sizes = [file.stat().st_size for file in (self._folder / PRIMARY / "data").rglob("*.aof")]
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (max(sizes) if full else hard, hard))

    def configure(self, name: str, value: str) -> None:
        """Change a setting of the Redis as it runs."""
        password = self.passwords()["REDIS_ADMIN_PASSWORD"]
        with redis.Redis(port=self.ports.primary, username="admin", password=password, socket_timeout=5) as client:
            client.config_set(name, value)

    def primary(self) -> Address:
        """Return the address of the Redis to publish to; the Sentinels know it."""
        if not self._sentinels:
            return "127.0.0.1", self.ports.primary
        for port in self.ports.sentinels:
            with client_of(port) as client:
                found: Any = client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "sale")
                return found[0].decode(), int(found[1])
        raise AssertionError

    def passwords(self) -> dict[str, str]:
        """Return the passwords of the users of Redis by the names of their variables."""
        return dict(line.split("=", 1) for line in (self._folder / "passwords.env").read_text().splitlines())

    def environment(self) -> dict[str, str]:
        """Return what a command of the sidecar needs to reach this Redis as the publisher."""
        login = {"SIDECAR_REDIS_USERNAME": "flash-sale-backend"}
        login["SIDECAR_REDIS_PASSWORD"] = self.passwords()["REDIS_PUBLISHER_PASSWORD"]
        return dict(self._sidecar().environment) | login

    def sidecars(self) -> Sequence[int]:
        """Return the ports of HTTP of the sidecar and of one that stands by."""
        return self.ports.http, self.standby_port

    def missed_evaluations(self) -> int:
        """Return how often Prometheus had no time for its rules."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports.prometheus}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        name = "prometheus_rule_group_iterations_missed_total"
        return int(sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name)))

    def _process(self, name: str) -> Process:
        return next(one for one in self._stack.processes if one.program.name == name)

    def _sidecar(self) -> Program:
        return self._process(SIDECAR).program

    def _alone(self, programs: list[Program]) -> list[Program]:
        _write_target(self._folder, "redis", [self.ports.primary], exporter=self.ports.redis_exporter)
        left = [one for one in programs if one.name not in SENTINELS]
        url = {"SIDECAR_REDIS_URL": f"redis://127.0.0.1:{self.ports.primary}/0"}
        return [
            replace(one, environment={**one.environment, **url}, after=(PRIMARY,)) if one.name == SIDECAR else one
            for one in left
        ]

    def _with_standby(self, programs: list[Program]) -> list[Program]:
        _write_target(self._folder, "sidecar", [self.ports.http, self.standby_port])
        sidecar = next(one for one in programs if one.name == SIDECAR)
        places = {
            "SIDECAR_HTTP_LISTEN": f"127.0.0.1:{self.standby_port}",
            "SIDECAR_WS_LISTEN": f"127.0.0.1:{free_port()}",
            "SIDECAR_INSTANCE": STANDBY,
        }
        standby = replace(
            sidecar,
            name=STANDBY,
            after=(SIDECAR,),
            environment={**sidecar.environment, **places},
            ready_url=f"http://127.0.0.1:{self.standby_port}/readyz",
        )
        return [*programs, standby]


def get(port: int, path: str) -> Any:
    """Return the JSON at a path, also of a status that is none of success; None without an answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return json.load(error)
    except OSError:
        return None


def _files(folder: Path, webhook: int) -> Path:
    """Make a copy of monitoring/, by links, with other receivers."""
    folder.mkdir(parents=True)
    for one in MONITORING.iterdir():
        if one.name not in ("alertmanager.yml", "secrets"):
            (folder / one.name).symlink_to(one)
    lead_to(webhook, MONITORING / "alertmanager.yml", folder / "alertmanager.yml")
    return folder


def _deaf_to_xfsz(program: Program) -> Program:
    return replace(program, command=("/bin/sh", "-c", 'trap "" XFSZ; exec "$@"', "sh", *program.command))


def _write_target(folder: Path, name: str, ports: list[int], exporter: int = 0) -> None:
    entry: dict[str, Any] = {"targets": [f"127.0.0.1:{port}" for port in ports]}
    if exporter:
        entry["labels"] = {"__exporter": f"127.0.0.1:{exporter}"}
    (folder / "prometheus" / "targets" / f"{name}.yml").write_text(json.dumps([entry]))
