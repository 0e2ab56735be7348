"""The unit that is shipped, and what the daemon tells systemd."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.commands import running
from tests.e2e.daemon import ROOT
from tests.programs import needs
from tests.redis_server import RedisServer

UNIT = ROOT / "config" / "flash-sale-sidecar.service"
# systemd's own measure, times ten, of what a service could do beyond its work: 0 nothing, 100 everything.
EXPOSURE = 12


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit, with a program that is there."""
    text = UNIT.read_text().replace("/opt/flash-sale-sidecar/bin/sidecar", sys.executable)
    (tmp_path / UNIT.name).write_text(text)
    return tmp_path / UNIT.name


@pytest.mark.needs("systemd-analyze")
@pytest.mark.parametrize("secrets", [False, True], ids=["as it is", "with every secret"])
def test_systemd_understands_every_line(unit: Path, secrets: bool) -> None:
    if secrets:
        unit.write_text(re.sub("^#(?=[A-Z])", "", unit.read_text(), flags=re.MULTILINE))
    done = subprocess.run([needs("systemd-analyze"), "verify", unit], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.needs("systemd-analyze")
def test_the_service_can_do_little_beyond_its_work(unit: Path) -> None:
    command = [needs("systemd-analyze"), "security", "--offline=true", f"--threshold={EXPOSURE}", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stdout[-300:]


def silent(systemd: socket.socket) -> bool:
    """Tell whether nothing more comes, beside what was on its way."""
    for _ in range(3):
        try:
            systemd.recv(100)
        except TimeoutError:
            return True
    return False


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_is_told_when_it_serves_and_that_its_loop_turns(
    abstract: bool, redis_server: RedisServer, tmp_path: Path
) -> None:
    path = f"flash-sale-sidecar-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(f"\0{path}" if abstract else path)
        systemd.settimeout(20)
        environment = {"NOTIFY_SOCKET": f"@{path}" if abstract else path, "WATCHDOG_USEC": "400000"}
        ports = ("--http", "127.0.0.1:0", "--ws", "127.0.0.1:0")
        with running("run", "--redis-url", redis_server.url, *ports, **environment) as daemon:
            while systemd.recv(100) != b"READY=1":
                pass
            began = time.monotonic()
            assert [systemd.recv(100) for _ in range(10)] == [b"WATCHDOG=1"] * 10
            assert 1 < time.monotonic() - began < 4  # every 0.2 s; after 0.4 s each it would be ended
            systemd.settimeout(1)
            daemon.process.send_signal(signal.SIGSTOP)
            assert silent(systemd)
