"""Run `make demo` as a person would: watch it until its numbers show orders, then press Ctrl-C. Needs only Python."""

import json
import os
import signal
import subprocess
import sys
import time
from urllib.request import urlopen

SET_UP_SECONDS = 240  # it downloads some thirty packages
END_SECONDS = 10
HTTP = "http://127.0.0.1:9850"


def orders() -> int:
    """Return how many orders the demo has counted; 0 while JSON or `/metrics` do not show any."""
    try:
        with urlopen(f"{HTTP}/monitoring/metrics", timeout=5) as answer:
            counted: int = json.load(answer)["orders"]["total"]
        with urlopen(f"{HTTP}/metrics", timeout=5) as answer:
            return counted if b"flash_sale_orders_total{" in answer.read() else 0
    except OSError:
        return 0


def watch(demo: "subprocess.Popen[bytes]") -> str:
    """Return what is wrong with a demo that was just started, "" if nothing; it has ended by then."""
    began = time.monotonic()
    while not (counted := orders()):
        if demo.poll() is not None:
            return f"the demo ended with status {demo.returncode}"
        if time.monotonic() > began + SET_UP_SECONDS:
            return f"no orders within {SET_UP_SECONDS} s"
        time.sleep(0.5)
    print(f"{counted} orders after {time.monotonic() - began:.0f} s, set-up included", flush=True)
    os.killpg(demo.pid, signal.SIGINT)
    try:
        status = demo.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        return f"Ctrl-C did not end the demo within {END_SECONDS} s"
    # make itself dies of the signal, after its child
    return "" if status == -signal.SIGINT else f"Ctrl-C ended the demo with status {status}"


def main() -> str:
    """Return what is wrong with `make demo`, "" if nothing."""
    # A shell starts what is in the background with SIGINT ignored, and the demo would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    demo = subprocess.Popen(["make", "demo"], start_new_session=True)
    try:
        return watch(demo)
    finally:
        if demo.poll() is None:
            os.killpg(demo.pid, signal.SIGKILL)


sys.exit(main() or 0)
