"""One field of the stored checkpoint: sealed with a checksum, and of the form its section has.

The checksum covers the field's name and its content, so that neither a flipped bit nor a value under the name of
another is taken for the truth. The form is checked all the same: what was sealed by a later version may be another.
"""

import re
from collections.abc import Callable
from typing import Annotated, Any
from zlib import crc32

import msgspec
from msgspec import Meta, Struct

from sidecar.core.events import MAX_ID_BYTES
from sidecar.core.fields import COUNTS
from sidecar.core.sale import By, Progress
from sidecar.core.totals import TALLIES
from sidecar.errors import CheckpointError

SEAL_BYTES = 4

_Count = Annotated[int, Meta(ge=0)]
_Second = Annotated[int, Meta(ge=0, le=2**53)]  # or a distance from one, or what was counted in one
_Time = Annotated[float, Meta(ge=0, le=1e11)]
_Counts = list[_Count]
_Times = list[_Time]
_Stock = list[int | None]
_Slice = tuple[_Count, _Count, _Count, _Counts, _Counts]
# Columns: four counts and units; stock and its time; first and newest sale, and both sums of sales.
_Block = tuple[
    _Counts, _Counts, _Counts, _Counts, _Counts, _Stock, _Times, list[_Time | None], _Times, _Counts, _Counts
]  # fmt: skip
_Gauge = Annotated[list[int | None], Meta(min_length=1, max_length=5)]  # a queue has five numbers
_Id = Annotated[str, Meta(max_length=MAX_ID_BYTES)]


class _Reading(Struct, array_like=True):
    seen: _Time
    values: _Gauge
    times: Annotated[list[_Time], Meta(min_length=1, max_length=5)] | None = None  # before 0.2.0: `seen` for each


_BY_TIME = frozenset({"slices1", "slices5", "slices10", "minutes", "said", "ended", "lately"})
_START = re.compile("[0-9]{1,11}")
_Tally = Annotated[str, Meta(pattern=f"^({'|'.join(TALLIES)})$")]
_Numerals = Annotated[str, Meta(pattern="^[0-9]{1,60}$")]  # millionths of a revenue pass 64 bits


class _Totals(Struct, array_like=True):
    """Fields of later versions have a default: version 0.1.0 stored five numbers."""

    tallies: dict[_Tally, dict[str, _Numerals]]
    since: _Time | None
    committed_at: _Time | None
    peak: _Count
    peak_at: _Count | None
    commit_interval: _Time | None = None
    sale: tuple[_Id | None, Progress, _Time | None, _Time | None, By | None, By | None] | None = None
    heeded: _Id = ""


# When it was met and seen, its gaps, its epoch; how often it restarted; whether it is silent, left, took a place.
_Sign = tuple[_Time, _Time, Annotated[_Times, Meta(max_length=5)], str | None, _Count, bool, bool, bool]

# The dump of a part, by section; of products the columns of a block.
_FORMS: dict[str, Any] = {
    "totals": _Totals,
    "timings": tuple[_Counts, list[_Counts]],
    "slices1": _Slice,
    "slices5": _Slice,
    "slices10": _Slice,
    "minutes": tuple[list[_Second], list[_Second], list[_Second]],
    "names": list[str],
    "products": _Block,
    "queues": _Reading,
    "connections": _Reading,
    "said": bytes,
    "ended": dict[_Id, Annotated[int, Meta(ge=-1)]],
    "signs": _Sign,
    "lately": tuple[_Count, int],
    "producers": tuple[_Count, int, _Count],  # what is recovered after a clear leaves less than nothing missed
}
_DECODE: dict[str, Callable[[bytes], Any]] = {
    section: msgspec.msgpack.Decoder(form).decode for section, form in _FORMS.items()
}


def seal(name: str, content: bytes) -> bytes:
    """Return the content of a field as it is stored."""
    return content + _checksum(name, content)


def unseal(name: str, stored: bytes) -> bytes:
    """Return the content of a stored field.

    Raises CheckpointError if it is not what was stored under this name.
    """
    content, found = stored[:-SEAL_BYTES], stored[-SEAL_BYTES:]
    if found != _checksum(name, content):
        raise CheckpointError(f"checkpoint field {name!r} is damaged: its checksum is wrong")
    return content


def place(name: str) -> tuple[str, str | int]:
    """Return section and key of a part's field `c:<section>:<key>`; parts by time have the second they begin at.

    Raises ValueError if there is no such section or key.
    """
    section, _, key = name.removeprefix(COUNTS).partition(":")
    if section not in _FORMS or (section == "totals" and key):
        raise ValueError("it is unknown; of a later version?")
    if section == "producers" and "\n" not in key:
        raise ValueError("it names no source")
    if section not in _BY_TIME:
        return section, key
    if not _START.fullmatch(key) or str(int(key)) != key:
        raise ValueError("it names no second")
    return section, int(key)


def decode(section: str, packed: bytes) -> Any:
    """Return the dump of a part, or of a block of products. Raises msgspec's errors if it has another form."""
    found = _DECODE[section](packed)
    return msgspec.to_builtins(found) if isinstance(found, Struct) else found


def _checksum(name: str, content: bytes) -> bytes:
    return crc32(content, crc32(name.encode() + b"\n")).to_bytes(SEAL_BYTES)
