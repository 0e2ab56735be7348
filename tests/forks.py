"""Start `sidecar` from a process that has everything imported: milliseconds instead of a second each.

Each is a process of its own, as `python -m sidecar` is, with the environment and the standard streams it is given.
"""

import atexit
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from typing import IO

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SIDECAR, USUAL_CONSUMER = "sidecar.cli", "tests.e2e.usual_consumer"
BEFOREHAND = (SIDECAR, USUAL_CONSUMER, "sidecar.daemon.service", "sidecar.store.embedded")


class Forked:
    """A process that was started so: what the tests use of `subprocess.Popen`."""

    def __init__(self, arguments: Sequence[str], told: int) -> None:
        """Take one over; its process id, and later its exit status, are lines of the pipe `told`."""
        self.args = list(arguments)
        self.returncode: int | None = None
        self._told = os.fdopen(told)
        self.pid = int(self._told.readline())

    def poll(self) -> int | None:
        """Return the exit status, or nothing while it runs."""
        if self.returncode is None and select.select([self._told], [], [], 0)[0]:
            self.wait()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; return the exit status, negative after a signal."""
        if self.returncode is None:
            if not select.select([self._told], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            self.returncode = int(self._told.readline())
            self._told.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """End it."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)


def fork(
    *arguments: str,
    stdout: IO[str] | int,
    stderr: IO[str] | int,
    stdin: IO[str] | int | None = None,
    env: dict[str, str] | None = None,
    program: str = SIDECAR,
) -> Forked:
    """Start a program where this process is, with nothing on its stdin and the same environment by default."""
    ours, theirs = os.pipe()
    request = json.dumps([program, arguments, os.getcwd(), dict(os.environ if env is None else env)])
    with open(os.devnull) as nothing, _lock:
        streams = (nothing if stdin is None else stdin, stdout, stderr)
        files = [one if isinstance(one, int) else one.fileno() for one in streams]
        socket.send_fds(_server(), [request.encode() + b"\n"], [*files, theirs])
    os.close(theirs)
    return Forked(arguments, ours)


_lock = threading.Lock()


@cache
def _server() -> socket.socket:
    """Start the process that forks; it ends when this one does."""
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.forks", str(theirs.fileno())],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
        )
    atexit.register(process.wait)
    atexit.register(ours.close)  # first: it is what ends the other
    return ours


def _serve(channel: socket.socket) -> str | None:
    """Fork for each request; in the fork, return the program to run."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        request, files, _, _ = socket.recv_fds(channel, 1 << 16, 4)
        if not request:
            return None
        while not request.endswith(b"\n"):
            request += channel.recv(1 << 16)
        if os.fork() == 0:
            channel.close()
            return _watched(json.loads(request), files)
        for file in files:
            os.close(file)


def _watched(request: tuple[str, list[str], str, dict[str, str]], files: list[int]) -> str:
    """Fork once more: this process waits for the end of that one, which is no child of the test's."""
    program, arguments, folder, environment = request
    *streams, told = files
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if (pid := os.fork()) != 0:
        os.write(told, f"{pid}\n".encode())
        os.write(told, f"{os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}\n".encode())
        os._exit(0)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    for file in files:
        os.close(file)
    sys.stdin = open(0)  # noqa: SIM115
    sys.stdout = open(1, "w")  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace")  # noqa: SIM115
    sys.argv[1:] = arguments
    return program


if __name__ == "__main__":
    for name in BEFOREHAND:
        import_module(name)
    gc.freeze()  # shared by all, never collected by one
    if (chosen := _serve(socket.socket(fileno=int(sys.argv[1])))) is not None:
        sys.modules[chosen].main()
