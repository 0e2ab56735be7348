"""The daemon as a process of its own, and what a client asks of it."""

import json
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tests.forks import Forked, fork
from tests.ports import free_port
from tests.waiting import wait_until

PREFIX = "flash_sale_metrics:"
ROOT = Path(__file__).parents[2]
PAST = ("rollback", "completeness")  # components that tell for a minute what was lost
START_SECONDS = 60.0  # a machine with twenty times its work; a quiet one needs one


class Daemon:
    """`sidecar run` with its own ports, against one Redis."""

    def __init__(self, folder: Path, redis_url: str, *, settings: str = "", name: str = "daemon") -> None:
        """Prepare; `settings` is YAML for the configuration file."""
        self.http, self.ws = free_port(), free_port()
        self.log = folder / f"{name}.log"
        self._file = folder / f"{name}.yml"
        self._file.write_text(settings or "{}")
        self._arguments = ["--config", str(self._file), "--redis-url", redis_url]
        self._arguments += ["--http", f"127.0.0.1:{self.http}", "--ws", f"127.0.0.1:{self.ws}"]
        self.process: subprocess.Popen[str] | Forked | None = None

    @property
    def arguments(self) -> list[str]:
        """The arguments of `sidecar`."""
        return ["run", *self._arguments]

    def start(self, *, ready: bool = True, shell: str = "") -> "Daemon":
        """Start it, from a shell that runs `shell` first if there is one; wait until it is ready (or a standby)."""
        command = ["sh", "-c", f'{shell}; exec "$@"', "sh", sys.executable, "-m", "sidecar", *self.arguments]
        with self.log.open("a") as log:
            self.process = (
                subprocess.Popen(command, cwd=ROOT, stderr=log, text=True)
                if shell
                else fork(*self.arguments, stdout=log, stderr=log)
            )
        if ready:
            self.wait_ready()
        return self

    def wait_ready(self, role: str = "active") -> None:
        """Wait until `/readyz` says so."""
        wait_until(lambda: self._lives_and_is(role), START_SECONDS, f"a ready {role} daemon; its log: {self.log}")

    def _lives_and_is(self, role: str) -> bool:
        assert self.process is not None and self.process.poll() is None, f"it ended: {self.log.read_text()[-2000:]}"
        return self.is_ready(role)

    def is_ready(self, role: str = "active") -> bool:
        """Tell whether `/readyz` says so."""
        status, answer = self.ask("/readyz")
        return status == 200 and answer["role"] == role

    def is_well(self) -> bool:
        """Tell whether health finds nothing wrong but with what is past."""
        status, answer = self.ask("/monitoring/health")
        return status == 200 and all(
            one["status"] == "ok" for name, one in answer["components"].items() if name not in PAST
        )

    def has_lost_redis(self) -> bool:
        """Tell whether no source is connected, and Redis is known to be away."""
        pattern = r"^flash_sale_sidecar_(?:source_connected\{.*\}|redis_up) (\S+)$"
        return not any(map(float, re.findall(pattern, self.text("/metrics"), re.M)))

    def ask(self, path: str, *, method: str = "GET", headers: dict[str, str] | None = None) -> tuple[int, Any]:
        """Return status and JSON of a request; status 0 if nobody answers."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.http}{path}", method=method, headers=headers or {})
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as exc:
            with exc:
                return exc.code, json.load(exc)
        except OSError:
            return 0, None

    def text(self, path: str, accept: str = "*/*") -> str:
        """Return a body as text."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.http}{path}", headers={"Accept": accept})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return str(answer.read().decode())

    def snapshot(self) -> dict[str, Any]:
        """Return the JSON of `/monitoring/metrics`."""
        status, answer = self.ask("/monitoring/metrics")
        assert status == 200, answer
        snapshot: dict[str, Any] = answer
        return snapshot

    def received(self) -> int:
        """Return how many events are committed."""
        status, answer = self.ask("/monitoring/metrics")
        return int(answer["completeness"]["received"]) if status == 200 else -1

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit status."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(10)

    def end(self) -> None:
        """End it, whatever state it is in."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
