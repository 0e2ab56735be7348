"""`sidecar run`: the daemon. Only here are signals known: SIGTERM and Ctrl-C stop, SIGHUP reads the settings again."""

import asyncio
import ctypes
import os
import resource
import signal
import sys
from collections.abc import Coroutine
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Any

import click
from msgspec import Struct

from sidecar.cli import systemd
from sidecar.cli.options import forbid_empty
from sidecar.errors import ConfigError
from sidecar.process.loop import new_loop

if TYPE_CHECKING:
    from sidecar.config import Config
    from sidecar.daemon.service import Service
    from sidecar.process.logs import Lines

# Files that people expect to be read by default.
USUAL_FILES = ("sidecar.yml", "config/sidecar.yml", "sidecar.yaml", "config/sidecar.yaml")
# From malloc.h. Set at all, it stays where it is: by itself it rises to the largest piece ever freed, 32 MB at most.
M_MMAP_THRESHOLD = -3
LARGE_BYTES = 128 * 1024  # what it begins with
# What a shell reports for a process ended by Ctrl-C.
INTERRUPTED = 130
# How long a second Ctrl-C lets connections close before the process is ended as it stands.
AT_ONCE_SECONDS = 1.0


@click.command(short_help="Run the daemon.")
@click.option("--config", "config_file", metavar="FILE", help="The configuration file [or SIDECAR_CONFIG].")
@click.option("--redis-url", metavar="URL", help="The Redis with the events and the metrics.")
@click.option("--prefix", metavar="PREFIX", help="The prefix of the sidecar's keys.")
@click.option("--http", metavar="HOST:PORT", help="Where HTTP listens.")
@click.option("--ws", metavar="HOST:PORT", help="Where the WebSocket listens.")
@click.option("--instance", metavar="NAME", help="The name of this sidecar in metrics [default: the host's].")
@click.option("--embedded-redis", is_flag=True, help="Start a private Redis that ends with the daemon.")
def run(
    config_file: str | None,
    redis_url: str | None,
    prefix: str | None,
    http: str | None,
    ws: str | None,
    instance: str | None,
    embedded_redis: bool,
) -> None:
    """Run the daemon until SIGTERM or Ctrl-C. SIGHUP reads the configuration again."""
    if embedded_redis and redis_url:
        raise ConfigError("--embedded-redis starts a Redis of its own: leave out --redis-url")
    forbid_empty({"config_file": config_file, "redis_url": redis_url, "prefix": prefix, "http": http, "ws": ws})
    flags = {"redis.url": redis_url, "redis.prefix": prefix, "http.listen": http, "ws.listen": ws, "instance": instance}
    settings = Settings(flags, config_file)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # one that comes before the handler stands must not end the process
    settings.load()  # what is wrong is said before anything starts
    allow_files()
    give_memory_back()
    run_to_end(_run(settings, embedded_redis))


def allow_files() -> None:
    """Open as many files as the machine lets us: every client is one, and the soft limit is often 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(ValueError, OSError):  # some systems call a limit infinite and do not mean it
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def give_memory_back() -> None:
    """Have what was rendered leave memory as soon as it is free.

    Left alone, glibc comes to keep such pieces for itself, with gaps between them that grow.
    """
    with suppress(OSError, AttributeError):  # another C library has no such option
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)


def run_to_end(main: Coroutine[Any, Any, None]) -> None:
    """Run until it ends by itself, or is cut short by a second Ctrl-C."""
    try:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(main)
    except asyncio.CancelledError:
        raise click.exceptions.Exit(INTERRUPTED) from None


class Settings(Struct, frozen=True):
    """Where the configuration of this process comes from, so that it can be read again."""

    flags: dict[str, str | None]
    config_file: str | None = None

    def load(self) -> "tuple[Config, tuple[str, ...]]":
        """Return configuration and warnings. Raises `ConfigError`."""
        from sidecar import config

        loaded = config.load(self.config_file, environ=os.environ, flags=self.flags)
        return loaded.config, tuple(loaded.warnings)

    @property
    def origin(self) -> str:
        """Name the file that is read, or say that there is none, and name a file that could be read."""
        file = self.config_file or os.environ.get("SIDECAR_CONFIG")
        if file:
            return os.path.abspath(file)
        lying = next((path for path in USUAL_FILES if os.path.exists(path)), "")
        return f"no file; {lying} is read with --config {lying}" if lying else "no file"


async def _run(settings: Settings, embedded_redis: bool) -> None:
    """Start what was asked for and run the service until a signal."""
    from sidecar.daemon.service import Service

    async with AsyncExitStack() as stack:
        if embedded_redis:
            from sidecar.store.embedded import EmbeddedRedis

            redis = await stack.enter_async_context(EmbeddedRedis())
            # Whatever the file or the environment say of another Redis is not for this one.
            private = {"redis.username": "", "redis.password": "", "redis.password_file": ""}
            settings.flags.update(private, **{"redis.url": redis.url})
        config, warnings = settings.load()
        log, lines = logger(config)
        for warning in warnings:
            log.warning("configuration", detail=warning)
        service = Service(config, log=log, dropped=lambda: lines.dropped, origin=settings.origin)
        stop = asyncio.Event()
        stop_on_signals(stop)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, _reload, service, settings, config, lines)
        async with systemd.watched():
            await service.run(stop, started=systemd.ready)


def logger(config: "Config") -> "tuple[Any, Lines]":
    """Set up logging to stderr; return the logger, and what writes its lines."""
    import structlog

    from sidecar.process import logs

    lines = logs.Lines(sys.stderr)
    logs.configure(config.log.level, config.log.format, lines)
    return structlog.get_logger(), lines


def stop_on_signals(stop: asyncio.Event) -> None:
    """Set `stop` on SIGTERM and Ctrl-C; a second Ctrl-C cancels the calling task, and soon ends the process."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None

    def interrupt() -> None:
        if stop.is_set():
            task.cancel()
            loop.call_later(AT_ONCE_SECONDS, os._exit, INTERRUPTED)
        stop.set()

    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, interrupt)


def _reload(service: "Service", settings: Settings, running: "Config", lines: "Lines") -> None:
    """Apply what can change while running; a bad file leaves everything as it is."""
    import structlog

    from sidecar.process import logs

    log = structlog.get_logger()
    try:
        config, warnings = settings.load()
        applied, restart = service.reload(config)
    except ConfigError as exc:
        log.error("configuration not reloaded, the running one stays", error=str(exc))
        return
    for warning in warnings:
        log.warning("configuration", detail=warning)
    logs.configure(config.log.level, running.log.format, lines)
    log.info("configuration reloaded", applied=applied, needs_restart=restart)
