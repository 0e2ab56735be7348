"""The rows of a recording: JSON arrays, a line each. Times are never rounded; docs/how-to/record.md shows an example.

A member of the file is what one decompression returns: whole rows, and first its number. The first member of a file
begins with the header.
"""

from collections.abc import Iterator
from itertools import accumulate
from typing import Literal

import msgspec
from msgspec import Raw, Struct

from sidecar.core.commit.commit import CommitAnswer
from sidecar.core.counts.queue_read import QueueReading
from sidecar.core.counts.rules import Rules
from sidecar.core.events.batch import Batch, Empty, StreamRead

FORMAT = "flash-sale-recording"
VERSION = 1
LINE = b"\n"


class RecordingHeader(Struct, frozen=True, kw_only=True):
    """What a replay needs to count as the recorder did. `run` is of one start of the recorder.

    `made` is `xrange` if it was made from a stream afterwards. `mappings` are as in the configuration; amounts without
    a currency are in `currency` there.
    """

    format: str = FORMAT
    version: int = VERSION
    sidecar: str
    made: Literal["daemon", "xrange"]
    instance: str
    run: str
    owner: str
    started_at: float
    pubsub: tuple[str, ...]
    streams: tuple[str, ...]
    apart: bool
    rules: Rules
    mappings: Raw = Raw(b"[]")
    currency: str = "XXX"


class MemberRow(Struct, frozen=True, array_like=True, tag="m"):
    """The number of this member of the run."""

    number: int


class TakeOverRow(Struct, frozen=True, array_like=True, tag="t"):
    """The Ledger took over this checkpoint."""

    now: float
    fields: dict[str, bytes]


class StateRow(Struct, frozen=True, array_like=True, tag="s"):
    """The checkpoint as just committed, so that a replay can begin here.

    The next `repeated` rows are also in the file before: batches that this commit did not have.
    """

    now: float
    fields: dict[str, bytes]
    repeated: int


class BatchRow(Struct, frozen=True, array_like=True, tag="p"):
    """A batch was counted. So many payloads follow as they came, each with a line break: `size` bytes in all.

    `lengths` are those of the payloads, if any has a line break in it. `arrivals` is one number if all are equal.
    """

    now: float
    source: str
    arrivals: float | list[float]
    payloads: int
    size: int
    lengths: list[int] = []
    empty: list[Empty] = []
    stream: StreamRead | None = None
    channels: list[bytes] | None = None


class BlindRow(Struct, frozen=True, array_like=True, tag="x"):
    """Blind time was counted."""

    seconds: float


class QueuesRow(Struct, frozen=True, array_like=True, tag="q"):
    """What queues said themselves."""

    readings: dict[str, QueueReading]


class WatchRow(Struct, frozen=True, array_like=True, tag="w"):
    """The liveness of producers was judged."""

    now: float
    hears: bool


class StepRow(Struct, frozen=True, array_like=True, tag="k"):
    """The clock was set."""

    now: float
    by: float


class FreezeRow(Struct, frozen=True, array_like=True, tag="f"):
    """What was pending went into a commit."""

    now: float
    token: str


class AnswerRow(Struct, frozen=True, array_like=True, tag="a"):
    """The answer to it."""

    now: float
    answer: CommitAnswer


class ReloadRow(Struct, frozen=True, array_like=True, tag="r"):
    """The older state that was loaded after a rollback."""

    fields: dict[str, bytes]


class RulesRow(Struct, frozen=True, array_like=True, tag="c"):
    """The rules changed."""

    rules: Rules


class GapRow(Struct, frozen=True, array_like=True, tag="g"):
    """Rows with this many events were dropped by the recorder."""

    events: int
    reason: str


class ReportRow(Struct, frozen=True, array_like=True, tag="v"):
    """The report as of the last commit."""

    report: Raw


JournalRow = (
    MemberRow
    | TakeOverRow
    | StateRow
    | BatchRow
    | BlindRow
    | QueuesRow
    | WatchRow
    | StepRow
    | FreezeRow
    | AnswerRow
    | ReloadRow
    | RulesRow
    | GapRow
    | ReportRow
)

_encoder = msgspec.json.Encoder()
_decode_row = msgspec.json.Decoder(JournalRow).decode
_decode_header = msgspec.json.Decoder(RecordingHeader).decode


def encode(row: JournalRow | RecordingHeader) -> bytes:
    """Return a row as a line."""
    return _encoder.encode(row) + LINE


def encode_batch(batch: Batch, now: float) -> bytes:
    """Return the row of a batch, with its payloads as they came."""
    arrivals, payloads = batch.arrivals, batch.payloads
    together = bool(arrivals) and arrivals.count(arrivals[0]) == len(arrivals)
    text = LINE.join([*payloads, b""])
    row = BatchRow(
        now,
        batch.source,
        arrivals[0] if together else arrivals,
        len(payloads),
        len(text),
        [] if text.count(LINE) == len(payloads) else list(map(len, payloads)),
        batch.empty,
        batch.stream,
        batch.channels,
    )
    return b"".join((_encoder.encode(row), LINE, text))


def batch_of(row: BatchRow, payloads: list[bytes]) -> Batch:
    """Return the batch of a row."""
    arrivals = row.arrivals if isinstance(row.arrivals, list) else [row.arrivals] * len(payloads)
    return Batch(
        source=row.source,
        payloads=payloads,
        arrivals=arrivals,
        empty=row.empty,
        stream=row.stream,
        channels=row.channels,
    )


def rows(content: bytes) -> Iterator[tuple[RecordingHeader | JournalRow, list[bytes]]]:
    """Yield the rows of a member, each with its payloads. Raises ValueError if one is not of this format."""
    at = 0
    while at < len(content):
        end = content.index(LINE, at)
        line, at = content[at:end], end + 1
        if line.startswith(b"{"):
            yield _header(line), []
            continue
        row = _decode_row(line)
        if isinstance(row, BatchRow):
            text, at = content[at : at + row.size], at + row.size
            yield row, _payloads(row, text)
        else:
            yield row, []


def _payloads(row: BatchRow, text: bytes) -> list[bytes]:
    """Cut the text after a row into its payloads."""
    if row.lengths:
        ends = list(accumulate(length + 1 for length in row.lengths))
        payloads = [text[end - length - 1 : end - 1] for end, length in zip(ends, row.lengths, strict=True)]
    else:
        payloads = text.split(LINE)[:-1]
    if len(payloads) != row.payloads or sum(map(len, payloads)) + row.payloads != len(text) or len(text) != row.size:
        raise ValueError("a batch is cut")
    return payloads


def _header(line: bytes) -> RecordingHeader:
    header = _decode_header(line)
    if (header.format, header.version) != (FORMAT, VERSION):
        raise ValueError(f"it is {header.format} {header.version}, and this version reads {FORMAT} {VERSION}")
    return header
