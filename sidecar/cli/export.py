"""`sidecar export`: the last hour by the second as CSV or JSON lines, or the totals as one line, for other tools."""

import csv
import io
import json
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import click
from msgspec import to_builtins

from sidecar.cli.client.readers import Reader, reader
from sidecar.cli.options import Where, reader_options
from sidecar.cli.view.terminal import counted, moment, plain
from sidecar.errors import ConfigError, SidecarError
from sidecar.exposition.history import IN_REDIS, parse_query

Row = dict[str, Any]
TIME = "%Y-%m-%dT%H:%M:%SZ"
KEPT = "Redis keeps one hour. How to keep more is in docs/long-term.md"


@click.command(short_help="Write the last hour, or the totals, as CSV or JSON lines.")
@reader_options
@click.option("--metric", "metrics", type=click.Choice(IN_REDIS), multiple=True, help="Only this; may be repeated.")
@click.option("--from", "start", metavar="TIME", help="The first second [default: an hour before the last].")
@click.option("--to", "end", metavar="TIME", help="The last second [default: now].")
@click.option("--step", metavar="DURATION", help="Time from row to row [default: 1s].")
@click.option("--format", "form", type=click.Choice(["csv", "jsonl"]), help="[default: csv]")
@click.option("--report", is_flag=True, help="Write the totals of the sale instead, as one JSON line.")
@click.option("--output", metavar="FILE", help="Write to a file, not to stdout.")
def export(
    where: Where,
    metrics: tuple[str, ...],
    start: str | None,
    end: str | None,
    step: str | None,
    form: str | None,
    report: bool,
    output: str | None,
) -> None:
    """Write the last hour by the second: orders finished, jobs waiting, open connections.

    TIME is a Unix time, an RFC 3339 time such as 2026-11-27T09:00:00Z, or how long ago, such as 15m.
    """
    asked = {"from": start, "to": end, "step": step}
    if report:
        if metrics or form or any(asked.values()):
            raise click.UsageError("--report is one line of totals: only --output and where to read apply to it")
        _write([json.dumps(to_builtins(reader(where).report()), separators=(",", ":")) + "\n"], output)
        return
    source = reader(where)
    rows = _rows(source, metrics or IN_REDIS, _grid(asked, time.time()))
    _write(_csv(rows) if form != "jsonl" else _json_lines(rows), output)
    if output and sys.stderr.isatty():
        click.echo(f"{counted(len(rows), 'row')} in {output}", err=True)
    if not any(row[name] is not None for row in rows for name in metrics or IN_REDIS):
        click.secho(f"Warning: {_why_nothing(source, rows)}", fg="yellow", err=True)


def _why_nothing(source: Reader, rows: list[Row]) -> str:
    """Return why nothing is known about a time: it was cleared, nothing happened, or it is too long ago."""
    with suppress(SidecarError):
        since = source.report().since
        if since is not None and rows and since > rows[0]["ts"]:
            return f"nothing is known of this time: counting began, or was cleared, at {moment(since)}"
    return f"nothing is known of this time: {KEPT}"


def _grid(asked: Mapping[str, str | None], now: float) -> dict[str, str]:
    """Return the parameters of `GET /monitoring/history`. Raises ConfigError for an invalid value."""
    grid = {name: str(_seconds(name, text, now)) for name, text in asked.items() if text is not None}
    try:
        parse_query(grid, int(now))
    except ValueError as exc:
        raise ConfigError(f"--from, --to, --step: {exc}") from exc
    return grid


def _seconds(name: str, text: str, now: float) -> int:
    """Return a time, or the length of a step, in whole seconds."""
    from sidecar.config import Seconds
    from sidecar.config.values import convert

    try:
        if text.replace(".", "", 1).isdigit():
            return int(float(text))
        if name != "step" and ("T" in text or "-" in text):
            moment = datetime.fromisoformat(text)
            return int(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp())
        duration = convert(text, Seconds)
    except (ValueError, OverflowError):
        allowed = "a duration such as 10s" if name == "step" else "a Unix time, 2026-11-27T09:00:00Z, or 15m (ago)"
        raise ConfigError(f"--{name} must be {allowed}") from None
    return int(duration) if name == "step" else int(now - duration)


def _rows(source: Reader, metrics: Iterable[str], grid: Mapping[str, str]) -> list[Row]:
    """Return a row for every point of the grid; unknown values are None."""
    found = source.history(grid)
    columns = {name: [value for _, value in found[name].points] for name in metrics}
    times = [ts for ts, _ in found[IN_REDIS[0]].points]
    rows = zip(times, *columns.values(), strict=True)
    return [{"ts": ts, "time": _shown(ts), **dict(zip(columns, values, strict=True))} for ts, *values in rows]


def _shown(ts: int) -> str:
    return datetime.fromtimestamp(ts, UTC).strftime(TIME)


def _csv(rows: Iterable[Row]) -> Iterator[str]:
    """Write a header and the rows; unknown values are empty cells."""
    buffer = io.StringIO()
    writer: csv.DictWriter[str] | None = None
    for row in rows:
        if writer is None:
            writer = csv.DictWriter(buffer, list(row), lineterminator="\n")
            writer.writeheader()
        writer.writerow({name: plain(value) if isinstance(value, str) else value for name, value in row.items()})
    yield buffer.getvalue()


def _json_lines(rows: Iterable[Row]) -> Iterator[str]:
    return (json.dumps(row, separators=(",", ":")) + "\n" for row in rows)


def _write(lines: Iterable[str], output: str | None) -> None:
    """Write to a file or stdout. The file is opened only when everything has been read."""
    if output is None:
        click.echo("".join(lines), nl=False)
        return
    try:
        with open(output, "w", encoding="utf-8") as file:
            file.writelines(lines)
    except OSError as exc:
        raise SidecarError(f"cannot write {output}: {exc.strerror}; name another file with --output") from exc
