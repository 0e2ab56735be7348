"""`sidecar clear`: restart counting at 0."""

import time

import click

from sidecar.cli.client.readers import HttpReader, Reader, RedisReader, reader
from sidecar.cli.options import DEFAULT_URL, Where, reader_options
from sidecar.cli.view.terminal import count, moment
from sidecar.errors import AccessError, SidecarError, UnavailableError

OWNER_SECONDS = 1.0


@click.command(short_help="Clear the metrics; stream positions stay.")
@reader_options
@click.option("--metric", metavar="NAME", help="Clear this custom metric alone.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def clear(where: Where, metric: str | None, yes: bool) -> None:
    """Clear the metrics of the running daemon: in its Redis, or over HTTP with --url and an admin token.

    Every count restarts at 0. Stream positions and sequence windows stay, so nothing counts twice.
    """
    source, location = chosen(where)
    if not yes:
        _confirm(f"Clear {'all metrics' if metric is None else metric} {location}? This cannot be undone")
    if metric is not None:
        source.clear_metric(metric)
        click.echo(f"Cleared: {metric}.")
        return
    was = source.clear()
    click.echo(
        f"Cleared: {count(was.success)} success, {count(was.failed)} failed, {count(was.pending)} accepted, "
        f"{count(was.cancelled)} cancelled."
    )


def _confirm(question: str) -> None:
    """Raise SidecarError unless the answer is yes."""
    try:
        sure = click.confirm(question)
    except click.Abort:
        click.echo()
        raise SidecarError("nothing was cleared: there was no answer; in scripts use --yes") from None
    if not sure:
        raise SidecarError("nothing was cleared")


def chosen(where: Where) -> tuple[Reader, str]:
    """Return the reader that can change the state, and a description of where that is.

    Without --url it is Redis. Without any flag, raises SidecarError if the daemon at the default address counts in
    another Redis than the configured one.
    """
    from sidecar.cli.client.access import target

    if where.url:
        return reader(where), f"of the daemon at {where.url}"
    config = where.config()
    redis, location = RedisReader(config), f"under {config.redis.prefix} in {target(config.redis).display}"
    if not where.configured:
        _compare(HttpReader(DEFAULT_URL, where.token), redis, location)
    return redis, location


def _compare(daemon: Reader, redis: Reader, location: str) -> None:
    """Raise SidecarError unless both began to count at the same time. Without a daemon nothing can be confused."""
    try:
        shown, kept = daemon.snapshot().since, redis.snapshot().since
        if shown != kept:  # the daemon may not have noticed a clear yet
            time.sleep(OWNER_SECONDS)
            shown, kept = daemon.snapshot().since, redis.snapshot().since
    except UnavailableError:
        return
    except AccessError as exc:
        raise AccessError(f"{exc}, or name the Redis with --redis-url or --config") from exc
    if shown != kept:
        raise SidecarError(
            f"the daemon at {DEFAULT_URL} has counted since {moment(shown)}, "
            f"the metrics {location} since {moment(kept)}: "
            "choose one with --redis-url or --config, or with --url and a token"
        )
