"""`sidecar simulate`: publish a made-up sale, to see the sidecar work or to rehearse."""

import asyncio
import random
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from sidecar.cli.client.publishing import (
    Destination,
    Transport,
    destination,
    maxlen_option,
    to_option,
    transport_option,
)
from sidecar.cli.options import Where, redis_options
from sidecar.cli.view.terminal import count, counted, plain, seconds

if TYPE_CHECKING:
    from sidecar.config import Config
    from sidecar.simulation import SimulatedSale

Send = Callable[[Sequence[str | bytes]], Awaitable[int]]

# Messages in one round trip, bounded so that Redis can serve others in between.
BATCH = 500
DECIDED = ("success", "failed", "cancelled")
# A pause shorter than this costs more than it smooths.
TICK_SECONDS = 0.02
# The longest default of --idle.
LONGEST_IDLE = 300.0
# Warn well before events count as late (5 s).
BEHIND_SECONDS = 2.0


@click.command(short_help="Publish a made-up sale.")
@redis_options
@click.option("--rate", type=click.FloatRange(0.1, 20_000), default=50, show_default=True, help="Mean orders a second.")
@click.option("--duration", type=click.FloatRange(1, 86_400), default=60, show_default=True, help="Seconds.")
@click.option(
    "--idle",
    type=click.FloatRange(0, 86_400),
    help="Seconds that the backend stays idle after the sale "
    f"[default: as long as the sale, at most {LONGEST_IDLE:.0f}].",
)
@click.option("--products", type=click.IntRange(1, 5000), default=8, show_default=True, help="Products on sale.")
@click.option("--seed", type=int, help="The same number makes the same sale again [default: a random one].")
@transport_option
@to_option
@maxlen_option
def simulate(
    where: Where,
    rate: float,
    duration: float,
    idle: float | None,
    products: int,
    seed: int | None,
    transport: Transport | None,
    to: str | None,
    maxlen: int | None,
) -> None:
    """Publish a made-up sale: a rush, hot products that sell out, a slow payment provider, a restock.

    Afterwards the backend stays idle, as real ones do: it sends heartbeats and readings, but no orders.
    """
    from sidecar.simulation import SimulatedSale

    config = where.config()
    target = destination(config.sources, transport, to, maxlen)
    chosen_seed = random.SystemRandom().randrange(1_000_000) if seed is None else seed
    stay = min(duration, LONGEST_IDLE) if idle is None else idle
    sale = SimulatedSale(
        seed=chosen_seed, rate=rate, duration=duration, idle=stay, products=products, start=time.time()
    )
    progress = _ProgressBar(sale)
    try:
        asyncio.run(_publish(config, sale, target, progress))
    except KeyboardInterrupt:
        progress.interrupted = not progress.is_idle
    finally:
        progress.close()
    progress.report(f"{target.transport}:{target.name}")


async def _publish(config: "Config", sale: "SimulatedSale", to: Destination, progress: "_ProgressBar") -> None:
    from sidecar.cli.client.outbox import outbox

    async with outbox(config.events, to, say=_warn) as publisher:
        await play(sale, publisher.send, progress.add)


async def play(
    sale: "SimulatedSale", send: Send, sent: Callable[[list[dict[str, Any]], int, float], None] | None = None
) -> None:
    """Publish a sale in real time from its `start`; `sent` gets the events, how many received them, and the delay."""
    import msgspec

    began = time.monotonic() + (sale.start - time.time())
    for offset, events in batches(sale):
        due = began + offset
        if due - time.monotonic() > TICK_SECONDS:
            await asyncio.sleep(due - time.monotonic())
        heard = await send([msgspec.json.encode(event) for event in events])
        if sent:
            sent(events, heard, time.monotonic() - due)


def batches(sale: "SimulatedSale") -> Iterator[tuple[float, list[dict[str, Any]]]]:
    """Yield the events of one tick together, with the offset of the last, so that a fast sale costs few round trips."""
    batch: list[dict[str, Any]] = []
    first = last = 0.0
    for offset, event in sale:
        if batch and (len(batch) >= BATCH or offset - first > TICK_SECONDS):
            yield last, batch
            batch = []
        if not batch:
            first = offset
        batch.append(event)
        last = offset
    yield last, batch


class _ProgressBar:
    """What was published so far, with a bar on a terminal."""

    def __init__(self, sale: "SimulatedSale") -> None:
        self.interrupted = False
        self.is_idle = False
        self._sale = sale
        self._orders: Counter[str] = Counter()
        self._events = 0
        self._heard = 1
        self._behind = 0.0
        self._began = time.monotonic()
        self._bar = self._open_bar() if sys.stderr.isatty() else None

    def _open_bar(self) -> Any:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (BarColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
        bar = Progress(*columns, console=Console(stderr=True), transient=True)
        bar.add_task("connecting", total=self._sale.duration)
        bar.start()
        return bar

    def add(self, events: list[dict[str, Any]], heard: int, behind: float) -> None:
        """Count what was sent."""
        self._events += len(events)
        self._orders.update(event["status"] for event in events if "status" in event)
        self._heard = heard
        self._behind = max(self._behind, behind)
        if not self.is_idle and self._sale_is_over(events[-1]["ts"]):
            self.is_idle = True
            self.close()
            self._report_idle()
        if self._bar:
            text = f"{counted(self._orders['pending'], 'order')}, {counted(self._events, 'event')}"
            elapsed = time.monotonic() - self._began
            self._bar.update(self._bar.task_ids[0], completed=elapsed, description=text)

    def _sale_is_over(self, ts: float) -> bool:
        decided = sum(self._orders[status] for status in DECIDED)
        return ts >= self._sale.start + self._sale.duration and decided == self._orders["pending"]

    def close(self) -> None:
        """Remove the bar."""
        if self._bar:
            self._bar.stop()
            self._bar = None

    def _report_idle(self) -> None:
        left = self._sale.start + self._sale.duration + self._sale.idle - time.time()
        if left > 0:
            click.echo(
                f"The sale is over: {self._outcome()}. The backend stays idle for {seconds(left)}; Ctrl-C ends it."
            )

    def _outcome(self) -> str:
        outcome = ", ".join(f"{count(self._orders[status])} {status}" for status in DECIDED)
        return f"{count(self._orders['pending'])} accepted, {outcome}"

    def report(self, label: str) -> None:
        """Print what was published."""
        elapsed = seconds(time.monotonic() - self._began)
        end = "Interrupted: published" if self.interrupted else "Published"
        click.echo(f"{end} {counted(self._events, 'event')} in {elapsed} to {plain(label)} (seed {self._sale.seed}).")
        click.echo(f"Orders: {self._outcome()}.")
        if not self._heard:
            _warn("nobody listened at the end: is the sidecar running, on this Redis and this name?")
        if self._behind > BEHIND_SECONDS:
            _warn(f"up to {seconds(self._behind)} behind the plan: this machine or Redis cannot publish so fast")


def _warn(text: str) -> None:
    click.secho(f"Warning: {text}", fg="yellow", err=True)
