"""Run commands: quickly within this process, or for real in one of their own."""

import contextlib
import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryFile
from typing import IO, Any

from click.testing import CliRunner, Result

from sidecar.cli import main
from tests.forks import Forked, fork
from tests.waiting import wait_until

# Nothing of the machine's own settings, and no wish of a CI for colour.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("SIDECAR_")}
ENVIRONMENT |= {"NO_COLOR": "1"}
ENVIRONMENT.pop("FORCE_COLOR", None)
START_SECONDS = 60.0  # a machine with twenty times its work; a quiet one needs one


def invoke(*arguments: str, text: str | None = None, **environment: str) -> Result:
    """Run a command in this process, without the SIDECAR_* variables of the machine."""
    cleared = {name: None for name in os.environ if name.startswith("SIDECAR_")}
    return CliRunner().invoke(main, list(arguments), input=text, env={**cleared, **environment})


def execute(
    *arguments: str, text: str | None = None, seconds: float = 20, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own until it ends."""
    with TemporaryFile("w+") as stdin, TemporaryFile("w+") as stdout, TemporaryFile("w+") as stderr:
        stdin.write(text or "")
        stdin.seek(0)
        process = fork(*arguments, stdin=stdin, stdout=stdout, stderr=stderr, env={**ENVIRONMENT, **environment})
        try:
            status = process.wait(seconds)
        finally:
            process.kill()
        for file in (stdout, stderr):
            file.seek(0)
        return subprocess.CompletedProcess(arguments, status, stdout.read(), stderr.read())


class Running:
    """A command that runs on. Its output is read all the time, so that it never waits for us."""

    def __init__(self, process: Forked, stdout: IO[str], stderr: IO[str]) -> None:
        self.process = process
        self.out: list[str] = []
        self.err: list[str] = []
        self._readers = [
            threading.Thread(target=lines.extend, args=(stream,), daemon=True)
            for lines, stream in ((self.out, stdout), (self.err, stderr))
        ]
        for reader in self._readers:
            reader.start()

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Return the log lines of one event, so far."""
        parsed = [json.loads(line) for line in self.err if line.startswith("{")]
        return [line for line in parsed if line["event"] == event]

    def wait_for_log(self, event: str) -> dict[str, Any]:
        """Wait until an event is logged and return its newest line."""
        return wait_until(lambda: self.logged(event), START_SECONDS, f"the log line {event!r} in {self.err}")[-1]

    def end(self, number: int = signal.SIGTERM, seconds: float = 5) -> int:
        """Send a signal and return the exit status."""
        self.process.send_signal(number)
        return self.wait(seconds)

    def wait(self, seconds: float = 5) -> int:
        """Wait for the end and all output; return the exit status."""
        status = self.process.wait(seconds)
        for reader in self._readers:
            reader.join(seconds)
        return status


@contextmanager
def running(*arguments: str, **environment: str) -> Iterator[Running]:
    """Start a command, and kill it if it still runs in the end."""
    (out, told_out), (err, told_err) = os.pipe(), os.pipe()
    process = fork(*arguments, stdout=told_out, stderr=told_err, env={**ENVIRONMENT, **environment})
    for end in (told_out, told_err):
        os.close(end)
    with open(out) as stdout, open(err) as stderr:
        started = Running(process, stdout, stderr)
        try:
            yield started
        finally:
            process.kill()
            started.wait()


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, *arguments: str) -> None:
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
        environment = {**ENVIRONMENT, "TERM": "xterm"}
        self.process = fork(*arguments, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
        os.close(theirs)
        self._ours = ours
        self._seen = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def seen(self) -> str:
        """Everything that was written so far."""
        return self._seen.decode(errors="replace")

    def wait_for(self, text: str) -> None:
        """Wait until a text was written."""
        try:
            wait_until(lambda: text in self.seen, 15, f"{text!r} on the terminal")
        except AssertionError as exc:
            raise AssertionError(f"{exc}; it showed {self.seen[-1000:]!r}") from None

    def type(self, line: str) -> None:
        """Type a line."""
        os.write(self._ours, line.encode() + b"\n")

    def press(self, key: str) -> None:
        """Press a key."""
        os.write(self._ours, key.encode())

    def end(self, number: int = signal.SIGINT) -> int:
        """Send a signal and return the exit status."""
        self.process.send_signal(number)
        status = self.process.wait(5)
        self._reader.join(5)
        return status

    def close(self) -> None:
        """Kill the command if it still runs, and let go of the terminal."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._reader.join(5)
        os.close(self._ours)

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # the end of a terminal is an error
            while data := os.read(self._ours, 65536):
                self._seen += data


@contextmanager
def on_terminal(*arguments: str) -> Iterator[Terminal]:
    """Run a command on a terminal."""
    terminal = Terminal(*arguments)
    try:
        yield terminal
    finally:
        terminal.close()
