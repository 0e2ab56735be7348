"""The sections of the State as they are stored: one table, from which everything about a section is derived.

The form of a part is checked even if its checksum is right: a later version may have stored another form.
"""

import re
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from sidecar.core.checkpoint.codec import COUNTS
from sidecar.core.counts.custom_series import CustomSeries
from sidecar.core.counts.last_minute import Lately
from sidecar.core.counts.liveness import Sign
from sidecar.core.counts.manifest import Kind
from sidecar.core.counts.order_memory import Ended, Said
from sidecar.core.counts.parts import Attendance, Minute, Part, Product, Reading, Slice, Timing
from sidecar.core.counts.phases import PHASES, PhaseName, PhasePart
from sidecar.core.counts.queue_read import QueueRead
from sidecar.core.counts.sale import By, Progress
from sidecar.core.counts.sale_record import SalePart
from sidecar.core.counts.slo_alert import SloPart
from sidecar.core.counts.tallies import TALLIES, Totals
from sidecar.core.events.event import MAX_ID_BYTES

_Whole = Annotated[int, Meta(ge=0)]
_StoredSecond = Annotated[int, Meta(ge=0, le=2**53)]  # also a distance from a second, or a count in one
_Time = Annotated[float, Meta(ge=0, le=1e11)]
_Wholes = list[_Whole]
_Times = list[_Time]
_Stock = list[int | None]
_Gauge = Annotated[list[int | None], Meta(min_length=1, max_length=5)]  # a queue has five numbers
_StoredId = Annotated[str, Meta(max_length=MAX_ID_BYTES)]


class _StoredReading(Struct, array_like=True):
    seen: _Time
    values: _Gauge
    times: Annotated[list[_Time], Meta(min_length=1, max_length=5)] | None = None  # before 0.2.0: `seen` for each


class _StoredSlice(Struct, array_like=True):
    finished: _Whole
    failed: _Whole
    faults: _Whole
    latency: _Wholes
    processing: _Wholes
    slow: _Whole = 0  # from version 0.2.0 on


class _StoredBlock(Struct, array_like=True):
    """Columns; before version 0.2.0 there were eleven."""

    success: _Wholes
    failed: _Wholes
    pending: _Wholes
    cancelled: _Wholes
    units: _Wholes
    stock: _Stock
    stock_ts: _Times
    first_ts: list[_Time | None]
    newest_ts: _Times
    sales: _Wholes
    calm_sales: _Wholes
    squares: _Wholes | None = None
    sold: _Wholes | None = None
    turned_at: list[_Time | None] | None = None


# When it was read, jobs by state, age of the oldest waiting job, whether it is paused, jobs finished.
_Jobs = _Whole | None
_StoredQueueReading = tuple[_Time, _Jobs, _Jobs, _Jobs, _Jobs, _Jobs, _Time | None, bool | None, _Jobs]
_StoredRead = tuple[_StoredQueueReading, tuple[int, int, int] | None]


_START = re.compile("[0-9]{1,11}")
_PHASE = re.compile(f"[0-9]{{1,3}}:({'|'.join(PHASES)})")
_TallyName = Annotated[str, Meta(pattern=f"^({'|'.join(TALLIES)})$")]
_Numerals = Annotated[str, Meta(pattern="^[0-9]{1,60}$")]  # millionths of a revenue pass 64 bits


_StoredDecimal = Annotated[str, Meta(pattern=r"^-?[0-9]{1,60}(\.[0-9]{1,9})?$")]


class _StoredProgress(Struct, array_like=True):
    changes: list[tuple[_Time, PhaseName, Annotated[str, Meta(max_length=200)]]]
    seen: _StoredSecond
    best: _Whole
    low_since: _StoredSecond | None
    high_since: _StoredSecond | None
    out_since: _Time | None


class _StoredSale(Struct, array_like=True):
    id: _StoredId | None
    state: Progress
    started_at: _Time | None
    ended_at: _Time | None
    started_by: By | None
    ended_by: By | None
    kind: Kind = "live"


class _StoredTotals(Struct, array_like=True):
    """Fields added later have defaults: version 0.1.0 stored the first five."""

    tallies: dict[_TallyName, dict[str, _Numerals]]
    since: _Time | None
    committed_at: _Time | None
    peak: _Whole
    peak_at: _Whole | None
    commit_interval: _Time | None = None
    sale: _StoredSale | None = None
    announced: _StoredId = ""


class _StoredMinute(Struct, array_like=True):
    """Version 0.1.0 stored the first three."""

    finished: list[_StoredSecond]
    waiting: list[_StoredSecond]
    connections: list[_StoredSecond]
    failed: list[_StoredSecond] = []
    faults: list[_StoredSecond] = []
    p50: list[_StoredSecond] = []
    p99: list[_StoredSecond] = []
    counted: list[_StoredSecond] = []


# Times met and seen, gaps, epoch; number of restarts; whether it is silent, has left, took the place of another.
_StoredSign = tuple[_Time, _Time, Annotated[_Times, Meta(max_length=5)], str | None, _Whole, bool, bool, bool]


class Section(Struct, frozen=True):
    """One section of a State: the type of its parts, and the form of a stored one.

    `deflated` parts are compressed; parts `by_time` are keyed by the Unix second at which they begin. The form of
    products is that of the columns of a block (products.py).
    """

    part: type[Part]
    form: Any
    deflated: bool = False
    by_time: bool = False


SECTIONS: dict[str, Section] = {
    "totals": Section(Totals, _StoredTotals),
    "timings": Section(Timing, tuple[_Wholes, list[_Wholes]], deflated=True),
    "slices1": Section(Slice, _StoredSlice, deflated=True, by_time=True),
    "slices5": Section(Slice, _StoredSlice, deflated=True, by_time=True),
    "slices10": Section(Slice, _StoredSlice, deflated=True, by_time=True),
    "minutes": Section(Minute, _StoredMinute, by_time=True),
    "products": Section(Product, _StoredBlock, deflated=True),
    "queues": Section(Reading, _StoredReading),
    "reads": Section(QueueRead, _StoredRead),
    "connections": Section(Reading, _StoredReading),
    # Missed may be below 0: numbers missed before a clear may be recovered after it.
    "producers": Section(Attendance, tuple[_Whole, int, _Whole]),
    "signs": Section(Sign, _StoredSign),
    "lately": Section(Lately, tuple[_Whole, int], by_time=True),
    "said": Section(Said, bytes, by_time=True),
    "custom": Section(CustomSeries, tuple[_Whole, _StoredDecimal, _Time, _Wholes]),
    "phases": Section(PhasePart, _StoredProgress),
    "phase_counts": Section(Slice, _StoredSlice, deflated=True),
    "slos": Section(SloPart, tuple[_Time | None, _Time | None, _Time | None, _Time | None]),
    "sales": Section(SalePart, bytes, deflated=True),
    "ended": Section(Ended, dict[_StoredId, Annotated[int, Meta(ge=-1)]], deflated=True, by_time=True),
}
_DECODE: dict[str, Callable[[bytes], Any]] = {
    name: msgspec.msgpack.Decoder(section.form).decode for name, section in SECTIONS.items()
}


def section_and_key(name: str) -> tuple[str, str | int]:
    """Return section and key of the entry `c:<section>:<key>`; the key of a part by time is a Unix second.

    Raises ValueError if there is no such section or key.
    """
    section, _, key = name.removeprefix(COUNTS).partition(":")
    if section not in SECTIONS or (section == "totals" and key):
        raise ValueError("it is unknown; of a later version?")
    if section == "phase_counts" and not _PHASE.fullmatch(key):
        raise ValueError("it names no phase")
    if section == "producers" and "\n" not in key:
        raise ValueError("it names no source")
    if not SECTIONS[section].by_time:
        return section, key
    if not _START.fullmatch(key) or str(int(key)) != key:
        raise ValueError("it names no second")
    return section, int(key)


def decode(section: str, packed: bytes) -> Any:
    """Return the dump of a part, or of a block of products. Raises msgspec's errors if its form is wrong."""
    found = _DECODE[section](packed)
    return msgspec.to_builtins(found) if isinstance(found, Struct) else found
