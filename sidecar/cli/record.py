"""`sidecar record`: make a recording from a stream, after the fact."""

import asyncio
import re
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click
from msgspec.structs import replace

from sidecar.cli.options import Where, redis_options
from sidecar.cli.view.terminal import counted
from sidecar.errors import ConfigError, SidecarError

if TYPE_CHECKING:
    from sidecar.config import Config
    from sidecar.core.journal.replay import ReplayedLedger

LAST_SEQUENCE = 2**64 - 1
OWNER = "record"


@click.command(short_help="Make a recording from a stream, after the fact.")
@redis_options
@click.option("--from-stream", "stream", metavar="KEY", required=True, help="The stream.")
@click.option("--from", "start", metavar="ID", default="0", help="The first entry [default: the oldest].")
@click.option("--to", "end", metavar="ID", help="Up to the millisecond of this entry [default: the newest].")
@click.option("--output", metavar="FILE", required=True, help="The new file.")
def record(where: Where, stream: str, start: str, end: str | None, output: str) -> None:
    """Make a recording of the entries that a stream still holds, for `sidecar replay`.

    It holds the same events as one of the flight recorder (recorder.directory), but neither other sources nor losses.
    An ID is that of an entry, or a Unix time in milliseconds.
    """
    after, until = _before(_id("from", start)), None if end is None else _id("to", end)[0] / 1000
    config = where.config()
    sources = replace(config.sources, streams=(stream,), pubsub=())
    events = asyncio.run(_record(replace(config, sources=sources), after, until, Path(output)))
    click.echo(f"Recorded {counted(events, 'event')} of {stream} in {output}.")


def _id(option: str, text: str) -> tuple[int, int]:
    """Return the numbers of an entry's id. Raises ConfigError."""
    found = re.fullmatch(r"([0-9]{1,19})(?:-([0-9]{1,19}))?", text)
    if found is None:
        raise ConfigError(f"--{option} must be the id of an entry, or a Unix time in milliseconds")
    return int(found[1]), int(found[2] or 0)


def _before(entry: tuple[int, int]) -> str:
    """Return the largest id before an entry."""
    milliseconds, sequence = entry
    if sequence:
        return f"{milliseconds}-{sequence - 1}"
    return f"{milliseconds - 1}-{LAST_SEQUENCE}" if milliseconds else "0-0"


async def _record(config: "Config", after: str, until: float | None, output: Path) -> int:
    """Count the entries as a daemon would, commit by the time of their ids, and write that; return how many they are.

    Raises SidecarError for a stream that is not there.
    """
    from sidecar.cli.client.access import with_advice
    from sidecar.core.commit.commit import POSITION, Position
    from sidecar.core.events.source import key_of
    from sidecar.daemon.build import header, replayed, rules, servers, sources
    from sidecar.recording.files import RecordingFile

    (source,) = sources(config, servers(config.events))
    made = header(config, rules(config), made="xrange", run=OWNER, owner=OWNER)
    ledger, stream, events, committed = replayed(made), key_of(source.name), 0, None
    try:
        with with_advice():
            await source.connect()
            batch = await source.read(after)
        assert batch is not None and batch.stream is not None
        if not batch.stream.exists:
            raise SidecarError(f"there is no stream {stream!r}: check --from-stream, redis.url and sources.redis_url")
        with closing(RecordingFile(output, made)) as file:
            ledger.journal = file
            now = batch.arrivals[0] if batch.arrivals else 0.0
            position = {POSITION + stream: Position(after).dump(stream)}
            ledger.take_over({"n": b"1", "own": OWNER.encode(), "gen": b"", **position}, now)
            while True:
                assert batch is not None and batch.stream is not None
                wanted = sum(until is None or at <= until for at in batch.arrivals)
                now = max([now, *batch.arrivals[:wanted]])
                facts = replace(batch.stream, added=None, complete=False)  # what is not in the range is no loss
                payloads, arrivals = batch.payloads[:wanted], batch.arrivals[:wanted]
                ledger.apply(replace(batch, payloads=payloads, arrivals=arrivals, stream=facts), now)
                events += wanted
                over = batch.stream.complete or wanted < len(batch.arrivals)
                if over or committed is None or now - committed >= config.commit_interval:
                    _commit(ledger, now)
                    committed = now
                if over:
                    break
                batch = await source.read(batch.stream.last)
            ledger.conclude()
    finally:
        await source.close()
    return events


def _commit(ledger: "ReplayedLedger", now: float) -> None:
    """Commit as if Redis had taken it."""
    from sidecar.core.commit.commit import CommitAnswer

    ledger.token = f"{OWNER} {OWNER} {now}"
    commit = ledger.freeze(now)
    answer = CommitAnswer(
        outcome="OK", number=commit.number + 1, token=commit.token, generation=commit.generation, replid=commit.replid
    )
    ledger.resolve(commit, answer, now)
