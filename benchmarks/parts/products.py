"""Memory and scrape time against the number of products."""

import statistics
import time
import urllib.request
from collections.abc import Callable

from benchmarks import svg
from benchmarks.lab import Sidecar, lab
from benchmarks.processes import memory_mb
from benchmarks.results import Report

TITLE = "Products: memory and scrape time"
PRODUCTS = (10, 100, 300, 1000, 2000)
EVENTS = 50_000
RATE = 40_000
SCRAPES = 5
APART_SECONDS = 0.6  # more than a commit interval: each one is rendered anew


def run(say: Callable[[str], None], full: bool) -> Report:
    """Add products to one daemon, step by step."""
    report = Report(TITLE)
    memory, scrape = [], []
    with lab() as place, place.sidecar(metrics={"max_products": PRODUCTS[-1]}) as sidecar:
        for products in PRODUCTS:
            before = sidecar.orders()
            told = place.publish(EVENTS, rate=RATE, products=products)
            sidecar.wait_for(before + told["orders"])
            took, series = _scraped(sidecar)
            memory.append((float(products), memory_mb(sidecar.pid)))
            scrape.append((float(products), took))
            report.note(f"{products:,} products, {series:,} series: {memory[-1][1]:.0f} MB, a scrape {took:.1f} ms.")
            say(report.notes[-1])
    name = svg.lines("memory.svg", "Memory against products", {"resident": memory}, x="products", y="MB")
    other = svg.lines("scrape.svg", "Scrape time against products", {"median": scrape}, x="products", y="ms")
    report.plots += [name, other]
    return report


def _scraped(sidecar: Sidecar) -> tuple[float, int]:
    """Return the median of some scrapes, in milliseconds, and the number of series."""
    took, text = [], b""
    for _ in range(SCRAPES):
        time.sleep(APART_SECONDS)
        began = time.perf_counter()
        with urllib.request.urlopen(f"http://127.0.0.1:{sidecar.daemon.http}/metrics", timeout=30) as answer:
            text = answer.read()
        took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took), sum(not line.startswith(b"#") for line in text.splitlines())
