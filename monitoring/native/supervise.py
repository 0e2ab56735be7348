"""Run programs side by side: start them, see them ready, start again what ends, and stop them all."""

import contextlib
import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

from monitoring.native.layout import Program

POLL_SECONDS = 0.2
NEVER = float("inf")
# Longer than the Sentinels need for a failover, so that one can be seen by killing the primary.
RESTART_SECONDS = 10.0
STOP_SECONDS = 4.0  # then they are killed: Ctrl-C is answered within 5 s


class Process:
    """A program that runs, or is about to run again."""

    def __init__(self, program: Program, log: Path) -> None:
        self.program = program
        self.log = log
        self._due = NEVER
        self._popen = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        """Start it, deaf to the terminal's Ctrl-C: the supervisor says when to stop, and in which order."""
        environment = {**os.environ, **self.program.environment}
        with self.log.open("ab") as log:
            return subprocess.Popen(
                self.program.command,
                cwd=self.program.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._popen.pid

    @property
    def has_ended(self) -> bool:
        """Whether it does not run."""
        return self._popen.poll() is not None

    def is_ready(self) -> bool:
        """Tell whether it does its work."""
        if self.program.ready_command:
            environment = {**os.environ, **self.program.environment}
            return subprocess.run(self.program.ready_command, env=environment, check=False, timeout=10).returncode == 0
        with contextlib.suppress(OSError), urllib.request.urlopen(self.program.ready_url, timeout=5) as answer:
            return bool(answer.status == 200)
        return False

    def keep(self, now: float) -> str:
        """Start it again if it has ended and its time has come; return what there is to say about it."""
        if not self.has_ended:
            return ""
        if self._due == NEVER:
            self._due = now + RESTART_SECONDS
            return f"{self.program.name} ended ({self._popen.returncode}); again in {RESTART_SECONDS:g} s; {self.log}"
        if now < self._due:
            return ""
        self._due = NEVER
        self._popen = self._start()
        return f"{self.program.name} started again"

    def end(self, number: signal.Signals) -> None:
        """Send a signal, if it runs."""
        if not self.has_ended:
            self._popen.send_signal(number)


class Stack:
    """All of them. What is worth saying goes to `say`."""

    def __init__(self, programs: Sequence[Program], logs: Path, say: Callable[[str], None]) -> None:
        logs.mkdir(parents=True, exist_ok=True)
        self._logs = logs
        self._say = say
        self._programs = programs
        self.processes: list[Process] = []

    def start(self, patience_seconds: float, stopped: Callable[[float], bool]) -> bool:
        """Start each when those before it are ready, and wait until all are.

        False, after saying whom it waited for, if one ended or it took too long.
        """
        deadline = time.monotonic() + patience_seconds
        waiting, ready = list(self._programs), set[str]()
        while len(ready) < len(self._programs):
            for program in [one for one in waiting if ready.issuperset(one.after)]:
                waiting.remove(program)
                self.processes.append(Process(program, self._logs / f"{program.name}.log"))
            unready = [one for one in self.processes if one.program.name not in ready]
            ready.update(one.program.name for one in unready if one.is_ready())
            ended = [one for one in unready if one.has_ended]
            if ended or stopped(POLL_SECONDS) or time.monotonic() > deadline:
                for one in ended or unready:
                    self._say(f"{one.program.name} is not ready; the end of {one.log}:\n{tail(one.log)}")
                return False
        return True

    def keep(self, stopped: Callable[[float], bool]) -> None:
        """Start again what ends, until stopped."""
        while not stopped(POLL_SECONDS):
            for process in self.processes:
                if news := process.keep(time.monotonic()):
                    self._say(news)

    def stop(self) -> None:
        """Stop all, the last started first: who reads before who is read."""
        deadline = time.monotonic() + STOP_SECONDS
        for process in reversed(self.processes):
            process.end(signal.SIGTERM)
        while any(not process.has_ended for process in self.processes) and time.monotonic() < deadline:
            time.sleep(0.02)
        for process in self.processes:
            process.end(signal.SIGKILL)


def tail(log: Path) -> str:
    """Return the last lines of a log."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-10:])
