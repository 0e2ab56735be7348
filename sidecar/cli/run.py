"""`sidecar run`: the daemon, and its signals: SIGTERM and Ctrl-C stop it, SIGHUP reloads the configuration."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
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

# Files that one might expect to be read by default.
USUAL_FILES = ("sidecar.yml", "config/sidecar.yml", "sidecar.yaml", "config/sidecar.yaml")
# What a shell reports for a process ended by Ctrl-C.
INTERRUPTED = 130
# How long connections may take to close after a second Ctrl-C, before the process exits.
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
    """Run the daemon until SIGTERM or Ctrl-C. SIGHUP reloads the configuration."""
    if embedded_redis and redis_url:
        raise ConfigError("--embedded-redis starts a Redis of its own: leave out --redis-url")
    forbid_empty({"config_file": config_file, "redis_url": redis_url, "prefix": prefix, "http": http, "ws": ws})
    flags = {"redis.url": redis_url, "redis.prefix": prefix, "http.listen": http, "ws.listen": ws, "instance": instance}
    settings = Settings(flags, config_file)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until the handler is set, it must not end the process
    settings.load()  # raises ConfigError before anything starts
    run_to_end(_run(settings, embedded_redis))


def run_to_end(main: Coroutine[Any, Any, None]) -> None:
    """Run until it ends, or until a second Ctrl-C."""
    try:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(main)
    except asyncio.CancelledError:
        raise click.exceptions.Exit(INTERRUPTED) from None


class Settings(Struct, frozen=True):
    """Where the configuration of this process comes from, to load and reload it."""

    flags: dict[str, str | None]
    config_file: str | None = None

    def load(self) -> "tuple[Config, tuple[str, ...]]":
        """Return configuration and warnings. Raises `ConfigError`."""
        from sidecar import config

        loaded = config.load(self.config_file, environ=os.environ, flags=self.flags)
        return loaded.config, tuple(loaded.warnings)

    @property
    def origin(self) -> str:
        """The configuration file, or `no file`, with a hint if one of the usual files exists."""
        file = self.config_file or os.environ.get("SIDECAR_CONFIG")
        if file:
            return os.path.abspath(file)
        unread = next((path for path in USUAL_FILES if os.path.exists(path)), "")
        return f"no file; {unread} is read with --config {unread}" if unread else "no file"


async def _run(settings: Settings, embedded_redis: bool) -> None:
    """Run the service until a signal, on an embedded Redis if asked for."""
    from sidecar.daemon.service import Service

    async with AsyncExitStack() as stack:
        if embedded_redis:
            from sidecar.store.embedded import EmbeddedRedis

            redis = await stack.enter_async_context(EmbeddedRedis())
            # Credentials from file or environment belong to another Redis.
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
            await serve(service, stop, started=systemd.ready)


async def serve(service: "Service", stop: asyncio.Event, *, started: Callable[[], None]) -> None:
    """Run a service that has the process to itself."""
    from sidecar.process.tuning import tune

    tune()
    asyncio.get_running_loop().set_exception_handler(service.loop_exceptions)
    await service.run(stop, started=started)


def logger(config: "Config") -> "tuple[Any, Lines]":
    """Set up logging to stderr; return the logger and its `Lines`."""
    import structlog

    from sidecar.process import logs

    lines = logs.Lines(sys.stderr)
    logs.configure(config.log.level, config.log.format, lines)
    return structlog.get_logger(), lines


def stop_on_signals(stop: asyncio.Event) -> None:
    """Set `stop` on SIGTERM and Ctrl-C; a second Ctrl-C cancels the calling task, then exits."""
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
    """Apply what can change at run time; a bad file changes nothing."""
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
