"""`sidecar demo`: daemon, private Redis and a made-up sale on one machine, with nothing to set up."""

import asyncio
import os
import shutil
import socket
import sys
import time
from contextlib import suppress
from itertools import count as count_from
from typing import TYPE_CHECKING

import click

from sidecar.cli.client.readers import HttpReader, RedisReader
from sidecar.cli.report import show
from sidecar.cli.run import logger, run_to_end, serve, stop_on_signals
from sidecar.cli.view.terminal import count, counted, milliseconds, seconds, share
from sidecar.errors import SidecarError

if TYPE_CHECKING:
    from sidecar.config import Config
    from sidecar.core.snapshot.snapshot import Snapshot
    from sidecar.daemon.service import Service

HTTP, WS = "127.0.0.1:9850", "127.0.0.1:9851"
# Time to look at the end of a sale before the next one restocks.
BETWEEN_SALES_SECONDS = 5
STREAM_LENGTH = 1_000_000  # as README recommends
STATUS_SECONDS = 1.0
CLEAR_LINE = "\r\x1b[K"

BANNER = """
A made-up sale of {duration}, again and again,
counted by the sidecar on a private Redis.

  HTTP         {http}/
  WebSocket    {ws}
  Redis        {redis}

Try in another terminal:

{lines}

Ctrl-C ends all of it.
"""


@click.command(short_help="See it work: daemon, private Redis and a made-up sale.")
@click.option("--http", metavar="HOST:PORT", help=f"Where HTTP listens [default: {HTTP}, or a free port].")
@click.option("--ws", metavar="HOST:PORT", help=f"Where the WebSocket listens [default: {WS}, or a free port].")
@click.option("--rate", type=click.FloatRange(0.1, 5000), default=50, show_default=True, help="Mean orders a second.")
@click.option("--duration", type=click.FloatRange(1, 86_400), default=600, show_default=True, help="Seconds a sale.")
def demo(http: str | None, ws: str | None, rate: float, duration: float) -> None:
    """Run the daemon with a private Redis and a made-up sale until Ctrl-C. It installs nothing and leaves nothing."""
    flags = {"http.listen": http or _free(HTTP), "ws.listen": ws or _free(WS), "log.level": "warning"}
    run_to_end(_demo(flags, rate, duration))


def _free(address: str) -> str:
    """Return the address, or print that it is in use and return one with a free port."""
    from sidecar.store.embedded import free_port

    host, _, port = address.partition(":")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, int(port)))
        except OSError:
            chosen = free_port()
            click.secho(f"Port {port} is in use: taking {chosen} instead.", fg="yellow", err=True)
            return f"{host}:{chosen}"
    return address


async def _demo(flags: dict[str, str], rate: float, duration: float) -> None:
    """Start Redis, daemon and sale, in this order; stop them in reverse."""
    from sidecar import config
    from sidecar.daemon.service import Service
    from sidecar.store.embedded import EmbeddedRedis

    stop = asyncio.Event()
    stop_on_signals(stop)
    async with EmbeddedRedis() as redis:
        # Without the environment: a demo must not touch a real Redis.
        chosen = config.load(None, environ={}, flags={**flags, "redis.url": redis.url}).config
        service = Service(chosen, log=logger(chosen)[0])
        started = asyncio.Event()
        daemon = asyncio.create_task(serve(service, stop, started=started.set))
        starting = asyncio.create_task(started.wait())
        await asyncio.wait((daemon, starting), return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
            await daemon
            return
        _greet(service, redis.url, redis.port, duration)
        await _run_sales(chosen, service, daemon, rate, duration)
        with suppress(SidecarError):  # it may end before anything was counted
            show(await asyncio.to_thread(RedisReader(chosen).report))


async def _run_sales(
    config: "Config", service: "Service", daemon: "asyncio.Task[None]", rate: float, duration: float
) -> None:
    """Sell, and show the status on a terminal, until the daemon ends."""
    tasks = [asyncio.create_task(_sell(config, rate, duration))]
    if sys.stdout.isatty():
        tasks.append(asyncio.create_task(_show_status(service.http_url)))
    try:
        await asyncio.wait((daemon, *tasks), return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task.done() and not daemon.done():
                task.result()  # raises what ended the task
        await daemon
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if sys.stdout.isatty():
            click.echo(CLEAR_LINE, nl=False)


async def _sell(config: "Config", rate: float, duration: float) -> None:
    """Publish one sale after the other, each with new stock."""
    from sidecar.cli.client.access import connected
    from sidecar.cli.client.publishing import Destination, Publisher
    from sidecar.cli.simulate import play
    from sidecar.simulation import SimulatedSale

    stream = config.sources.streams[0]
    async with connected(config.events, key=stream) as link:
        publisher = Publisher(link, Destination("stream", stream, STREAM_LENGTH))
        for seed in count_from(1):
            sale = SimulatedSale(seed=seed, rate=rate, duration=duration, idle=BETWEEN_SALES_SECONDS, start=time.time())
            await play(sale, publisher.send)


def _greet(service: "Service", redis_url: str, port: int, duration: float) -> None:
    http = service.http_url.rstrip("/")
    text = BANNER.format(
        duration=seconds(duration),
        http=http,
        ws=service.ws_url,
        redis=redis_url,
        lines="\n".join(f"  {line}" for line in lines_to_try(http, service.ws_url, port)),
    )
    click.echo(text)


def lines_to_try(http: str, ws: str, port: int) -> list[str]:
    """Return commands to try, with the programs that are installed."""
    python = os.path.relpath(sys.executable) if sys.executable.startswith(os.getcwd() + os.sep) else sys.executable
    sidecar = f"{python} -m sidecar"
    lines = [f"{sidecar} top" + ("" if http == f"http://{HTTP}" else f" --url {http}")]
    if shutil.which("curl"):
        lines += [f"curl -s {http}/monitoring/metrics", f"curl -s {http}/metrics | grep orders_total"]
    event = """'{"status":"success"}'"""
    if shutil.which("redis-cli"):
        lines += [f"redis-cli -p {port} GET flash_sale_metrics:order_status:success"]
        lines += [f"redis-cli -p {port} XADD flash_sale:events '*' e {event}"]
    else:
        lines += [f"{sidecar} publish {event} \\", f"  --redis-url redis://127.0.0.1:{port}"]
    return [*lines, f"{python} -m websockets {ws}", """    and type {"event":"subscribe-metrics"}"""]


async def _show_status(url: str) -> None:
    """Rewrite one line of the terminal every second."""
    source = HttpReader(url, None)
    while True:
        try:
            line = status(await asyncio.to_thread(source.snapshot))
        except SidecarError:
            line = "waiting for the daemon"
        sys.stdout.write(CLEAR_LINE + line[: shutil.get_terminal_size().columns - 1])
        sys.stdout.flush()
        await asyncio.sleep(STATUS_SECONDS)


def status(snapshot: "Snapshot") -> str:
    """Summarise the sale in one line, the most important first: a narrow terminal cuts the end."""
    orders, inventory = snapshot.orders, snapshot.inventory.values()
    left = sum(max(one.stock, 0) for one in inventory)
    gone = sum(one.stock <= 0 for one in inventory)
    parts = [
        f"{count(orders.per_second.now)}/s",
        counted(orders.total, "order"),
        f"p99 {milliseconds(snapshot.latency_ms.last_10s.p99)}",
        f"faults {share(orders.fault_rate.last_10s)}",
        f"complete {share(snapshot.completeness.ratio)}",
        f"{count(left)} left, {gone}/{len(inventory)} gone",
    ]
    return "  ".join(parts)
