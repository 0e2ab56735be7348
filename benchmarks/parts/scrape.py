"""`/metrics` with ten thousand series at half the rate the daemon holds: how long it takes, and what else must wait."""

import re
import sys
import time
import urllib.request
from collections.abc import Callable

from benchmarks.capacity import held_rate
from benchmarks.lab import Sidecar, lab
from benchmarks.processes import program
from benchmarks.results import Report, Row, Sample, number

TITLE = "Scrape: ten thousand series"
PRODUCTS = 1700  # with six series each
SERIES = 10_000
SCRAPES, FULL_SCRAPES = 30, 200
APART_SECONDS = 0.6  # more than a commit interval: each one is rendered anew
QUIET_SECONDS = 6
LAG = "flash_sale_sidecar_loop_lag_seconds"


def run(say: Callable[[str], None], full: bool) -> Report:
    """Scrape under load."""
    report = Report(TITLE)
    say("the rate it can hold ...")
    rate, scrapes = held_rate("pubsub") / 2, FULL_SCRAPES if full else SCRAPES
    with lab() as place, place.sidecar(metrics={"max_products": PRODUCTS, "new_series_hold": "5s"}) as sidecar:
        seconds = scrapes * (APART_SECONDS + 0.2) + QUIET_SECONDS + 8
        publisher = place.start_publishing(int(rate * seconds), rate=int(rate), products=PRODUCTS)
        time.sleep(7)  # longer than new series are held at 0
        quiet = _quiet(sidecar)
        say(f"loop lag without scrapes {max(quiet):.1f} ms")
        took, lags, series = _scraped(sidecar, scrapes)
        publisher.stop()
    p99 = sorted(took)[int(len(took) * 0.99)]
    library, unscraped = f"prometheus-client renders in {_ms(_library(series))}", f"unscraped: {_ms(quiet)}"
    report.rows = [
        Row("p99 of a scrape", Sample([p99], "ms"), 50, "<= 50 ms", yardstick_is=library),
        Row("longest stall of the loop in a second", Sample(lags, "ms"), 10, "<= 10 ms", yardstick_is=unscraped),
    ]
    report.note(f"{series:,} series, {number(rate)} events a second, {len(took)} scrapes: {_ms(took)}.")
    return report


def _ms(values: list[float]) -> str:
    return str(Sample(values, "ms"))


def _quiet(sidecar: Sidecar) -> list[float]:
    """Return the loop's lag of some seconds, by a scrape that renders only that."""
    lags = []
    for _ in range(QUIET_SECONDS):
        time.sleep(1.0)
        lags.append(_lag(_get(f"http://127.0.0.1:{sidecar.daemon.http}/metrics?name[]={LAG}")))
    return lags


def _scraped(sidecar: Sidecar, scrapes: int) -> tuple[list[float], list[float], int]:
    """Return milliseconds of each scrape, the loop's lag after each, and how many series there are."""
    took, lags, text = [], [], ""
    for _ in range(scrapes):
        time.sleep(APART_SECONDS)
        began = time.perf_counter()
        text = _get(f"http://127.0.0.1:{sidecar.daemon.http}/metrics")
        took.append((time.perf_counter() - began) * 1000)
        lags.append(_lag(text))
    return took, lags, sum(not line.startswith("#") for line in text.splitlines())


def _get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return str(answer.read().decode())


def _lag(text: str) -> float:
    found = re.search(rf"^{LAG} (\S+)$", text, re.MULTILINE)
    return float(found[1]) * 1000 if found else float("nan")


def _library(series: int) -> list[float]:
    with program(sys.executable, "-m", "benchmarks.yardsticks.rendering", str(series), "5") as child:
        child.line()
        return [float(word) for word in child.line().split()]
