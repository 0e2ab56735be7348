"""WebSocket: thousands of clients at 1 Hz, against bare `transport.write` of as many bytes."""

import json
import resource
import sys
import time
from collections.abc import Callable

from benchmarks import svg
from benchmarks.lab import Sidecar, lab
from benchmarks.processes import cpu_seconds, memory_mb, program
from benchmarks.results import Report, Row, Sample
from benchmarks.subjects import MICRO

TITLE = "WebSocket: clients at 1 Hz"
FEWER, CLIENTS = (500, 1000, 2500), 5000
SECONDS, IDLE_SECONDS = 5, 3.0
ROUNDS, FULL_ROUNDS = 2, 5
EVENTS = 50_000
SPARE_FILES = 200
Told = dict[str, float]  # what the clients saw, and cost
COMMAND = (sys.executable, "-m", "benchmarks.clients")


def run(say: Callable[[str], None], full: bool) -> Report:
    """Measure fewer clients once, and all of them in rounds with the bare server."""
    report = Report(TITLE)
    clients = min(CLIENTS, _files() - SPARE_FILES)
    if clients < CLIENTS:
        report.note(f"Only {clients} clients: the limit of open files cannot be raised beyond {_files()}.")
    with lab() as place, place.sidecar() as sidecar:
        sidecar.wait_for(place.publish(EVENTS)["orders"])
        idle = _idle(sidecar)
        some = [(count, _serve(sidecar.pid, sidecar.daemon.ws, count, idle)) for count in FEWER if count < clients]
        ours, bare = [], []
        for turn in range(FULL_ROUNDS if full else ROUNDS):
            ours.append(_serve(sidecar.pid, sidecar.daemon.ws, clients, idle))
            bare.append(_bare(ours[0]["bytes"], clients))
            late, cost = ours[-1]["p99"], ours[-1]["cpu"]
            say(f"round {turn + 1}: p99 {late:.0f} ms late, {cost:.1f} us an update, bare {bare[-1]['cpu']:.1f} us")
    report.rows = _rows(clients, ours, bare)
    points = [*some, (clients, ours[-1])]
    series = {name: [(float(count), told[name]) for count, told in points] for name in ("p50", "p99", "max")}
    report.plots.append(svg.lines("lateness.svg", "Lateness of WebSocket updates", series, x="clients", y="ms"))
    report.note(f"An update has {ours[0]['bytes']:,.0f} bytes; the clients share the machine with the server.")
    report.note(f"The idle daemon's CPU, {idle:.1%} of a core, is taken off.")
    return report


def _rows(clients: int, ours: list[Told], bare: list[Told]) -> list[Row]:
    def sample(found: list[Told], name: str, unit: str) -> Sample:
        return Sample([told[name] for told in found], unit)

    cpu, least = sample(ours, "cpu", "us CPU/update"), sample(bare, "cpu", "us CPU/update")
    # Only the first crowd grows the process; those after it find the memory there.
    memory = Sample([ours[0]["kb"]], "KB")
    late = f"bare: {sample(bare, 'p99', 'ms')}"
    return [
        Row(f"p99 lateness, {clients:,} clients", sample(ours, "p99", "ms"), 100, "<= 100 ms", yardstick_is=late),
        Row("CPU per update", cpu, 1.3, "<= 1.3 x", least, "bare transport.write"),
        Row("memory per client", memory, 20, "<= 20 KB", yardstick_is=f"bare: {Sample([bare[0]['kb']], 'KB')}"),
    ]


def _files() -> int:
    """Raise the limit of open files, for the children too, and return it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def _idle(sidecar: Sidecar) -> float:
    """Return the part of a core that the daemon needs without clients."""
    cpu = sidecar.cpu()
    time.sleep(IDLE_SECONDS)
    return (sidecar.cpu() - cpu) / IDLE_SECONDS


def _serve(pid: int, port: int, count: int, idle: float) -> Told:
    """Let clients come and stay for a while; return what they saw and what they cost the server."""
    memory = memory_mb(pid)
    with program(*COMMAND, str(port), str(count), "--seconds", str(SECONDS)) as clients:
        clients.line()
        began, cpu = time.monotonic(), cpu_seconds(pid)
        told: Told = json.loads(clients.line())
        spent = cpu_seconds(pid) - cpu - idle * (time.monotonic() - began)
        told["kb"] = (memory_mb(pid) - memory) * 1024 / count
    time.sleep(1.0)  # the server lets go of them
    return {**told, "cpu": spent / told["updates"] * MICRO}


def _bare(size: float, count: int) -> Told:
    with program(sys.executable, "-m", "benchmarks.yardsticks.bare_write", str(int(size))) as server:
        port = int(server.line())
        server.line()
        return _serve(server.pid, port, count, 0.0)
