"""The example backend and its load generator as processes of their own."""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tests.e2e.daemon import ROOT
from tests.ports import free_port
from tests.waiting import wait_until

PACKAGE = "examples.flash_sale_backend"
START_SECONDS = 60.0  # a machine with twenty times its work; a quiet one needs one


class Backend:
    """The backend, on one port through all its lives."""

    def __init__(self, log: Path, **settings: str) -> None:
        """Prepare; settings as in the environment, without `SALE_`."""
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        self._log = log
        self._environment = {**os.environ, "SALE_PORT": str(port)}
        self._environment |= {f"SALE_{name.upper()}": value for name, value in settings.items()}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        with self._log.open("a") as log:
            command = [sys.executable, "-m", PACKAGE]
            self._process = subprocess.Popen(command, cwd=ROOT, env=self._environment, stderr=log)
        wait_until(lambda: self.ask("GET", "/healthz") == 200, START_SECONDS, f"the backend; its log: {self._log}")

    def buy(self, orders: int, rate: float, seed: int) -> "subprocess.Popen[str]":
        """Start to buy."""
        options = {"--url": self.url, "--orders": orders, "--rate": rate, "--seed": seed, "--cancelled": 0.1}
        arguments = [str(part) for option in options.items() for part in option]
        command = [sys.executable, "-m", f"{PACKAGE}.load", *arguments]
        return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)

    def ask(self, method: str, path: str, body: Any = None) -> int:
        """Return the status of a request; 0 if nobody answers."""
        data = None if body is None else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(urllib.request.Request(self.url + path, data, method=method), timeout=5) as got:
                return int(got.status)
        except urllib.error.HTTPError as exc:
            with exc:
                return exc.code
        except OSError:
            return 0

    def end(self, number: int) -> int:
        """Send a signal and return the exit status."""
        assert self._process is not None
        self._process.send_signal(number)
        return self._process.wait(30)

    def dispose(self) -> None:
        """End it, whatever state it is in."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
