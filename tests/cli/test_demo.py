"""`sidecar demo` for real."""

import contextlib
import json
import re
import shutil
import signal
import socket
import time
from typing import Any

import pytest

from sidecar.cli.demo import lines_to_try, status
from tests.cli.commands import START_SECONDS, invoke, on_terminal, running
from tests.cli.test_run import ANY_PORTS
from tests.exposition.snapshots import snapshot
from tests.waiting import wait_until

SUCCESSES = "flash_sale_metrics:order_status:success"


def address(lines: list[str], label: str) -> str:
    """Return an address that the demonstration prints."""
    found = [match[1] for line in lines if (match := re.match(rf"\s*{label}\s+(\S+)", line))]
    return found[0] if found else ""


def report(url: str) -> dict[str, Any]:
    """Return the report of the daemon; empty while it has none."""
    result = invoke("report", "--json", "--url", url)
    document: dict[str, Any] = json.loads(result.stdout) if result.exit_code == 0 else {}
    return document


def sold(url: str) -> int:
    """Return the orders decided so far."""
    document = report(url)
    return int(document["orders"]["total"]) if document else 0


def is_over(url: str) -> bool:
    """Tell whether nothing is in flight and nothing came in the last second."""
    orders = report(url)["orders"]
    return bool(orders["in_flight"] == 0 and orders["per_second"]["now"] == 0)


def test_it_sells_one_sale_after_the_other_and_ctrl_c_ends_everything_in_two_seconds() -> None:
    with running("demo", *ANY_PORTS, "--duration", "1", "--rate", "20") as demo:
        url = wait_until(lambda: address(demo.out, "HTTP"), START_SECONDS, "the address").rstrip("/")
        redis_url = address(demo.out, "Redis")
        wait_until(lambda: sold(url) > 10 and is_over(url), 10, "the end of the first sale")
        first = sold(url)
        assert len(report(url)["inventory"]) == 8
        wait_until(lambda: sold(url) > first, 15, "the next sale")
        completeness = report(url)["completeness"]
        assert (completeness["ratio"], completeness["invalid"]) == (1.0, 0)
        began = time.monotonic()
        assert demo.end(signal.SIGINT) == 0
        assert time.monotonic() - began < 2
        assert invoke("publish", "{}", "--force", "--redis-url", redis_url).exit_code == 1
        assert not any("Traceback" in line for line in demo.err)


def test_the_printed_lines_work_with_what_runs() -> None:
    with running("demo", *ANY_PORTS, "--duration", "1") as demo:
        url = wait_until(lambda: address(demo.out, "HTTP"), START_SECONDS, "the address").rstrip("/")
        port = int(address(demo.out, "Redis").removesuffix("/0").rpartition(":")[2])
        line = f"redis-cli -p {port} GET {SUCCESSES}\n"
        assert (line in "".join(demo.out)) == (shutil.which("redis-cli") is not None)
        wait_until(lambda: sold(url) > 0, 10, "an order")
        with socket.create_connection(("127.0.0.1", port), timeout=2) as redis:
            redis.sendall(f"GET {SUCCESSES}\r\n".encode())
            assert re.match(rb"\$\d+\r\n\d+\r\n", redis.recv(100))
        assert f"-m sidecar top --url {url}\n" in "".join(demo.out)
        assert demo.end() == 0


def test_a_port_in_use_is_replaced_and_said() -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of a moment ago are nobody's
        with contextlib.suppress(OSError):  # somebody else has it: as good
            taken.bind(("127.0.0.1", 9850))
            taken.listen()
        with running("demo") as demo:
            wait_until(lambda: address(demo.out, "HTTP"), START_SECONDS, "the address")
            wait_until(lambda: any("Port 9850 is in use: taking" in line for line in demo.err), 5, "the line on stderr")
            assert demo.end() == 0


def test_the_status_line_says_first_what_a_narrow_terminal_must_still_show() -> None:
    line = status(snapshot())
    assert line.startswith("3/s  9 orders  p99 ")
    assert line.index("faults") < line.index("complete 100 %") < line.index("left") < 80


def test_on_a_terminal_a_status_line_is_rewritten_in_place() -> None:
    with on_terminal("demo", *ANY_PORTS) as terminal:
        terminal.wait_for("complete 100 %")
        assert terminal.end() == 0
        banner, _, after = terminal.seen.partition("Ctrl-C ends all of it.")
        assert all(len(line) <= 80 for line in banner.splitlines())
        status_line, report, tables = after.strip().partition("Flash sale report")
        assert report and "\n" not in status_line
        assert "aurora-sneaker" in tables and " received · 0 missed" in tables


@pytest.mark.parametrize(
    ("programs", "line"), [((), "-m sidecar publish '{"), (("redis-cli", "curl"), "redis-cli -p 1 ")]
)
def test_it_names_only_installed_programs(
    programs: tuple[str, ...], line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda program: program if program in programs else None)
    text = "\n".join(lines_to_try("http://127.0.0.1:9850", "ws://127.0.0.1:9851/", 1))
    assert line in text
    assert ("curl" in text, "redis-cli" in text) == (bool(programs), bool(programs))
