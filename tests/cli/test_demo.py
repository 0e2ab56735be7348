"""`sidecar demo` for real."""

import json
import re
import signal
import socket
import time

from tests.cli.commands import invoke, running
from tests.cli.test_run import ANY_PORTS
from tests.waiting import wait_until


def address(lines: list[str], label: str) -> str:
    """Return an address that the demonstration prints."""
    found = [match[1] for line in lines if (match := re.match(rf"\s*{label}\s+(\S+)", line))]
    return found[0] if found else ""


def test_it_sells_one_sale_after_the_other_and_ctrl_c_ends_everything_in_two_seconds() -> None:
    with running("demo", *ANY_PORTS, "--duration", "1", "--rate", "20") as demo:
        url = wait_until(lambda: address(demo.out, "Live page"), 10, "the address").rstrip("/")
        redis_url = address(demo.out, "Redis")

        def stock() -> dict[str, dict[str, int]]:
            result = invoke("report", "--json", "--url", url)
            return json.loads(result.stdout)["inventory"] if result.exit_code == 0 else {}

        def sold() -> int:
            result = invoke("report", "--json", "--url", url)
            return int(json.loads(result.stdout)["orders"]["total"]) if result.exit_code == 0 else 0

        wait_until(lambda: sold() > 10, 10, "a sale")
        assert stock()
        first = wait_until(lambda: sold() if _is_over(url) else 0, 10, "the end of the sale")
        wait_until(lambda: sold() > first, 15, "the next sale")
        report = json.loads(invoke("report", "--json", "--url", url).stdout)
        assert report["completeness"]["ratio"] == 1.0
        assert report["completeness"]["invalid"] == 0
        began = time.monotonic()
        assert demo.end(signal.SIGINT) == 0
        assert time.monotonic() - began < 2
        assert invoke("publish", "{}", "--force", "--redis-url", redis_url).exit_code == 1
        assert not any("Traceback" in line for line in demo.err)


def test_a_port_in_use_is_replaced_and_said() -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", 9850))
            taken.listen()
        except OSError:
            pass  # somebody else has it: as good
        with running("demo") as demo:
            wait_until(lambda: address(demo.out, "Live page"), 10, "the address")
            assert any("Port 9850 is in use: taking" in line for line in demo.err)
            assert demo.end() == 0


def _is_over(url: str) -> bool:
    """Tell whether nothing is in flight and nothing came in the last second."""
    orders = json.loads(invoke("report", "--json", "--url", url).stdout)["orders"]
    return bool(orders["in_flight"] == 0 and orders["per_second"]["now"] == 0)
