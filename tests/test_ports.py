"""Ports of tests that run at the same time."""

import subprocess
import sys

from tests.ports import BLOCK, free_port

ALL = f"""import sys
from tests.ports import free_port
print(*{{free_port() for _ in range({BLOCK})}}, flush=True)
sys.stdin.read()"""


def test_processes_that_run_tests_at_the_same_time_share_no_port() -> None:
    command = [sys.executable, "-c", ALL]
    others = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    seen = [{free_port() for _ in range(BLOCK)}]
    for other in others:
        assert other.stdout is not None
        seen.append({int(port) for port in other.stdout.readline().split()})
    for other in others:
        other.communicate("")
    assert all(seen)
    assert len(set.union(*seen)) == sum(map(len, seen))
