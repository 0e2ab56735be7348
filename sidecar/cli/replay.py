"""`sidecar replay`: count a recording again, and compare the result with the reports in it."""

import asyncio
import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec import to_builtins

from sidecar.cli.options import load
from sidecar.cli.report import show
from sidecar.cli.view.terminal import counted, moment, plain, seconds
from sidecar.errors import ConfigError, SidecarError

if TYPE_CHECKING:
    from sidecar.core.journal.replay import Replay

DIFFERENT = 99
NAMED = 20


@click.command(short_help="Count a recording again.")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option(
    "--speed",
    type=click.FloatRange(min=0, min_open=True),
    metavar="N",
    help="N times as fast as it was [default: as fast as possible].",
)
@click.option("--verify", is_flag=True, help="Compare with the reports and checkpoints in the recording.")
@click.option("--against", metavar="REPORT", help="Compare with a report that was saved as JSON.")
@click.option("--publish", "publish_to", metavar="URL", help="Publish the events to this Redis instead, as of now.")
@click.option("--prefix", metavar="PREFIX", help="With --publish: the prefix of the sidecar that counts there.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option("--markdown", "as_markdown", is_flag=True, help="Print the report as Markdown.")
def replay(
    files: tuple[str, ...],
    speed: float | None,
    verify: bool,
    against: str | None,
    publish_to: str | None,
    prefix: str | None,
    as_json: bool,
    as_markdown: bool,
) -> None:
    """Count a recording again, in memory, and show its report as of the last commit.

    FILE is a file that the flight recorder wrote, or a directory of them; several are replayed in the order given.

    The exit status is 99 if --verify or --against finds a difference.
    """
    if as_json and as_markdown:
        raise click.UsageError("--json and --markdown exclude each other")
    if publish_to or prefix:
        if verify or against or as_json or as_markdown or not publish_to:
            raise click.UsageError("--publish has no report: only --prefix and --speed go with it")
        _publish(_paths(files), publish_to, prefix, speed or 1.0)
        return
    saved = _saved(against) if against else None
    found = _replay(_paths(files), speed, saved)
    if as_json or as_markdown or not (verify or against):
        _show(found, as_json=as_json, as_markdown=as_markdown)
    if verify or against:
        _judge(found, against)


def _paths(files: Iterable[str]) -> list[Path]:
    """Return the files, those of a directory by name, which is by time."""
    from sidecar.recording.files import SUFFIX

    found: list[Path] = []
    for path in map(Path, files):
        found += sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else [path]
    if not found:
        raise SidecarError(f"there is no recording in {', '.join(files)}: its files end with {SUFFIX}")
    return found


def _saved(path: str) -> dict[str, Any]:
    """Read a report. Raises ConfigError."""
    try:
        found = json.loads(Path(path).read_bytes())
    except ValueError as exc:
        raise ConfigError(f"{path} is no JSON: save the report with `sidecar report --json`") from exc
    if not isinstance(found, dict) or "committed_at" not in found:
        raise ConfigError(f"{path} is no report: save one with `sidecar report --json`")
    return found


def _replay(paths: list[Path], speed: float | None, saved: dict[str, Any] | None) -> "Replay":
    """Play all files. What is missing is a warning."""
    from sidecar.core.journal.replay import Replay
    from sidecar.core.journal.rows import RecordingHeader
    from sidecar.daemon.build import replayed
    from sidecar.recording.files import read

    found = Replay(replayed, saved)
    pace = _Pace(speed)
    for row, payloads in read(paths, found.lose):
        if isinstance(row, RecordingHeader) and found.header and found.header.instance != row.instance:
            raise SidecarError(
                f"these are recordings of {found.header.instance} and of {row.instance}: replay those of one sidecar"
            )
        if speed is not None and (now := getattr(row, "now", None)) is not None:
            pace.wait(now)
        found.play(row, payloads)
    for gap in found.gaps:
        _warn(gap)
    if found.ledger is None:
        raise SidecarError("nothing could be replayed: no file holds a checkpoint to begin with")
    return found


def _publish(paths: list[Path], url: str, prefix: str | None, speed: float) -> None:
    """Publish the events again, in real time, to a Redis where no sale runs."""
    from sidecar.cli.client.republishing import republish
    from sidecar.recording.files import read

    config = load(None, {"redis.url": url, "redis.prefix": prefix, "sources.redis_url": ""})
    began = time.monotonic()
    sent = asyncio.run(republish(config, read(paths, _warn), speed=speed, say=_warn))
    click.echo(f"Published {counted(sent, 'payload')} in {seconds(time.monotonic() - began)}.")


def _warn(text: str) -> None:
    click.secho(f"Warning: {plain(text)}", fg="yellow", err=True)


class _Pace:
    """Waits until a row is due, at a multiple of the original speed."""

    def __init__(self, speed: float | None) -> None:
        self._speed = speed or 1.0
        self._began: tuple[float, float] | None = None

    def wait(self, now: float) -> None:
        """Wait for a row of that time; the first one is now."""
        self._began = self._began or (time.monotonic(), now)
        due = self._began[0] + (now - self._began[1]) / self._speed
        time.sleep(max(due - time.monotonic(), 0.0))


def _show(found: "Replay", *, as_json: bool, as_markdown: bool) -> None:
    from sidecar.core.snapshot.report import report
    from sidecar.exposition.documents import markdown

    document = report(found.snapshot())
    if as_json:
        click.echo(json.dumps(to_builtins(document), indent=2))
    elif as_markdown:
        click.echo(markdown(document), nl=False)
    else:
        show(document)


def _judge(found: "Replay", against: str | None) -> None:
    """Tell what differs, on stderr. Raises SidecarError if there was nothing to compare with."""
    if against and found.saved is not None:
        at = moment(found.saved["committed_at"])
        raise SidecarError(f"{against} is the report as of {at}, a commit that this recording does not have")
    if not found.compared:
        raise SidecarError("this recording has no report to compare with: give one with --against")
    events, compared = counted(found.events, "event"), counted(found.compared, "comparison")
    if not found.unlike:
        click.echo(f"The same: {events} replayed, {compared}.", err=True)
        return
    click.echo(f"Different: {events} replayed, {counted(len(found.unlike), 'difference')}:", err=True)
    for one in found.unlike[:NAMED]:
        line = f"{moment(one.at)}  {one.where}: recorded {one.recorded!r}, replayed {one.replayed!r}"
        click.echo(plain(line)[:300], err=True)
    raise click.exceptions.Exit(DIFFERENT)
