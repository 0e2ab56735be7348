"""The emitters as programs: what each needs, and how to start it."""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from subprocess import PIPE, STDOUT

import pytest

from tests.e2e.daemon import ROOT
from tests.programs import missing, needs

FOLDER = ROOT / "examples" / "emitters"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "flash-sale" / "emitters"
IOREDIS = "ioredis@6.0.0"
GO_REDIS = "github.com/redis/go-redis/v9@v9.23.0"
JEDIS = ("redis.clients", "jedis", "7.5.3")
POM = """<project><modelVersion>4.0.0</modelVersion><groupId>sidecar</groupId><artifactId>emitter</artifactId>
<version>1</version><dependencies><dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version>
</dependency></dependencies></project>
"""

Command = list[str]


def python(_: Path) -> Command:
    """Return how to run the emitter for threads."""
    return [sys.executable, str(FOLDER / "emitter.py")]


def asyncio(_: Path) -> Command:
    """Return how to run the emitter for asyncio."""
    return [sys.executable, str(FOLDER / "emitter_asyncio.py")]


def php(_: Path) -> Command:
    """Return how to run the emitter in PHP."""
    _needs_library(needs("php"), "-r", "exit((int) !extension_loaded('redis'));")
    return ["php", str(FOLDER / "emitter.php")]


def ruby(_: Path) -> Command:
    """Return how to run the emitter in Ruby."""
    _needs_library(needs("ruby"), "-e", "require 'redis'")
    return ["ruby", str(FOLDER / "emitter.rb")]


def node(folder: Path) -> Command:
    """Return how to run the emitter in Node."""
    modules = _prepared("node", _if_there("npm"), "install", "--no-audit", "--no-fund", "--silent", IOREDIS)
    (folder / "node_modules").symlink_to(modules / "node_modules")
    return [_if_there("node"), str(shutil.copy(FOLDER / "emitter.mjs", folder))]


def go(_: Path) -> Command:
    """Return how to run the emitter in Go."""
    tool, source = _if_there("go"), FOLDER / "emitter.go"
    module = f"{{ [ -f go.mod ] || {tool} mod init emitter; }} && {tool} get {GO_REDIS}"
    build = f"cp {source} . && {module} && {tool} build emitter.go # {hash_of(source)}"
    return [str(_prepared("go", "sh", "-c", build) / "emitter")]


def java(_: Path) -> Command:
    """Return how to run the emitter in Java."""
    tool = _if_there("java")
    (CACHE / "java").mkdir(parents=True, exist_ok=True)
    (CACHE / "java" / "pom.xml").write_text(POM.format(*JEDIS))
    jars = _prepared("java", _if_there("mvn"), "-q", "dependency:copy-dependencies", "-DoutputDirectory=jars")
    return [tool, "-XX:TieredStopAtLevel=1", "-cp", f"{jars}/jars/*", str(FOLDER / "Emitter.java")]


LANGUAGES: dict[str, Callable[[Path], Command]] = {
    one.__name__: one for one in (python, asyncio, php, ruby, node, go, java)
}
PREPARE_SECONDS = 500  # a Go client compiles for a minute, and longer on a busy machine


class Program:
    """An emitter that runs; each line of its input is an event."""

    def __init__(self, command: Command, transport: str, url: str, folder: Path) -> None:
        self._log = (folder / "emitter.log").open("w+")
        environment = {**os.environ, "REDIS_URL": url}
        self._process = subprocess.Popen(
            [*command, transport], stdin=PIPE, stderr=self._log, env=environment, text=True
        )

    def report(self, *events: str) -> None:
        """Write events."""
        assert self._process.stdin is not None
        self._process.stdin.write("".join(f"{event}\n" for event in events))
        self._process.stdin.flush()

    def finish(self) -> None:
        """Close its input, and wait until it ends."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        assert self._process.wait(20) == 0, self.said

    @property
    def said(self) -> str:
        """What it wrote so far."""
        self._log.seek(0)
        return self._log.read()

    def end(self) -> None:
        """Kill it if it still runs."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()
        self._log.close()


def hash_of(file: Path) -> str:
    """Return what changes with a file."""
    return sha256(file.read_bytes()).hexdigest()


def _if_there(program: str) -> str:
    """Return the path of a program that is never required: CI installs no toolchain that takes long."""
    found = shutil.which(program)
    return found or pytest.skip(f"{program} is not installed")


def _needs_library(*command: str) -> None:
    if subprocess.run(command, capture_output=True, timeout=20, check=False).returncode != 0:
        missing(f"{Path(command[0]).name} has no client of Redis")


def _prepared(language: str, *command: str) -> Path:
    """Return the folder of a language, in which a command has fetched what it needs; skip where that fails."""
    folder = CACHE / language
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = folder / "done"
        if not done.exists() or done.read_text() != repr(command):
            result = subprocess.run(
                command, cwd=folder, stdout=PIPE, stderr=STDOUT, timeout=PREPARE_SECONDS, check=False
            )
            if result.returncode:
                pytest.skip(f"{command[0]} could not fetch the client: {result.stdout[-200:].decode()}")
            done.write_text(repr(command))
    return folder
