"""Start-up: from spawning the process to ready, and the help of the command line."""

import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable

from benchmarks.lab import lab
from benchmarks.processes import ROOT
from benchmarks.results import Report, Row, Sample

TITLE = "Start-up"
TIMES = 5
POLL_SECONDS = 0.01
DEADLINE_SECONDS = 20.0
EVENTS = 50_000
SIDECAR = (sys.executable, "-m", "sidecar")


def run(say: Callable[[str], None], full: bool) -> Report:
    """Measure both, beside an interpreter that does nothing."""
    report = Report(TITLE)
    help_took = Sample([_timed(*SIDECAR, "--help") for _ in range(TIMES)], "s")
    nothing = Sample([_timed(sys.executable, "-c", "pass") for _ in range(TIMES)], "s")
    say(f"--help {help_took}")
    with lab() as place:
        with place.sidecar() as sidecar:
            place.publish(EVENTS, products=1000)
            sidecar.wait_for(EVENTS * 95 // 100)
            daemon = sidecar.daemon
        ready = Sample([_ready(daemon.arguments, daemon.http) for _ in range(TIMES)], "s")
        place.client.flushall()
        first = _ready(daemon.arguments, daemon.http)
    report.rows = [
        Row("ready, with stored state of 1,000 products", ready, 1, "<= 1 s"),
        Row("sidecar --help", help_took, 0.3, "<= 0.3 s", yardstick_is=f"python -c pass: {nothing}"),
    ]
    report.note(f"Ready on an empty Redis: {first:.2f} s; it waits two commit intervals for another owner first.")
    return report


def _timed(*command: str) -> float:
    began = time.perf_counter()
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def _ready(arguments: list[str], port: int) -> float:
    """Start a daemon, return how long it took to be ready, and stop it."""
    began = time.perf_counter()
    process = subprocess.Popen([*SIDECAR, *arguments], cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        while not _answers(port):
            if time.perf_counter() - began > DEADLINE_SECONDS or process.poll() is not None:
                raise RuntimeError("the daemon did not become ready")
            time.sleep(POLL_SECONDS)
        return time.perf_counter() - began
    finally:
        process.terminate()
        process.wait(15)


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
