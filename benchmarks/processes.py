"""Child processes, and what they cost: CPU and memory as Linux counts them."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
STOP_SECONDS = 5.0


def cpu_seconds(pid: int) -> float:
    """Return user and system time of a process so far, all threads; steps of 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def memory_mb(pid: int) -> float:
    """Return the resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise ProcessLookupError(pid)


class Program:
    """A child that answers by lines on its standard output."""

    def __init__(self, *command: str, env: dict[str, str] | None = None) -> None:
        """Start it, in the repository, with its errors on ours."""
        self._name = " ".join(command)
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), **(env or {})},
        )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def line(self) -> str:
        """Return its next line. Raises RuntimeError if it ended instead."""
        assert self._process.stdout is not None
        if line := self._process.stdout.readline():
            return line.strip()
        raise RuntimeError(f"{self._name} ended with {self._process.wait()}")

    def running(self) -> bool:
        """Tell whether it has not ended."""
        return self._process.poll() is None

    def cpu(self) -> float:
        """Return its CPU seconds so far."""
        return cpu_seconds(self.pid)

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


@contextlib.contextmanager
def program(*command: str, env: dict[str, str] | None = None) -> Iterator[Program]:
    """Run a program while the context is open."""
    child = Program(*command, env=env)
    try:
        yield child
    finally:
        child.stop()


@contextlib.contextmanager
def yardstick(name: str, *arguments: object, python: str = sys.executable) -> Iterator[Program]:
    """Run a yardstick until the context closes; it has said that it is ready."""
    with program(python, "-m", f"benchmarks.yardsticks.{name}", *map(str, arguments)) as child:
        if (said := child.line()) != "ready":
            raise RuntimeError(f"{name} said {said!r}, not that it is ready")
        yield child


def publishing(port: int, count: int, name: str, **options: object) -> Program:
    """Start a publisher; its one line of output is for `published`."""
    words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
    command = (sys.executable, "-m", "benchmarks.publisher", str(port), str(count), "--name", name)
    return Program(*command, *words)


def published(publisher: Program) -> dict[str, Any]:
    """Wait for a publisher and return what it tells."""
    try:
        told: dict[str, Any] = json.loads(publisher.line())
        return told
    finally:
        publisher.stop()
