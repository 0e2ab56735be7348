"""The command, from outside."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from monitoring.native.layout import PACKAGES, ROOT
from tests.waiting import wait_until

COMMAND = [sys.executable, "-m", "tests.gameday"]


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    done = subprocess.run([*COMMAND, "nope"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "there is no nope: it is one of sim8, " in done.stderr


@pytest.mark.needs(*PACKAGES)
def test_control_c_ends_all_that_was_started(tmp_path: Path) -> None:
    command = [*COMMAND, "sidecar-5", "--folder", str(tmp_path)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    wait_until(lambda: "prometheus" in programs(tmp_path), 60, "the stack to start")
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "stopped before it was over" in said
    assert programs(tmp_path) == ""


def programs(folder: Path) -> str:
    """Return the command lines of the processes that run below a folder."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            if os.readlink(process / "cwd").startswith(str(folder)):
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return "\n".join(found)
