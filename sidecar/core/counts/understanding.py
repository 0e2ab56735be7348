"""How much of what a source sends is understood, over the last minute.

Rejected and ignored events are not understood. They are counted by reason and type. The newest example of each is kept,
and shown in health with masked values. All of this is only in memory.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping

from msgspec import Struct, field

from sidecar.core.counts.rules import OTHER
from sidecar.core.events.event import Rejection

MINUTE_SECONDS = 60
HALF = 0.5  # from this share on, a source is degraded
MAX_SOURCES = 100
MAX_NAMES = 20  # types distinguished in one second
_READ_BYTES = 600
_SHOWN_CHARACTERS = 160
# Fields that say what an event is: their values are not masked.
_SHOWN = ("type", "status", "event", "event_type", "eventtype", "kind", "service", "specversion")
_TOKEN = re.compile(r'"((?:[^"\\]|\\.)*)("?)(\s*:)?|-?\d[\w.+-]*|[^\W\d]{2,}')


class NotUnderstood(Struct, frozen=True, kw_only=True):
    """What a source sent in the last minute that was not understood.

    `refused` events were rejected. `share` is the share of all events. `reason` is the most frequent reason of
    rejections, `type` the most frequent ignored type; `detail` and `example` belong to the more frequent of the two.
    """

    share: float
    received: int
    refused: int
    ignored: int
    reason: str | None
    type: str | None
    detail: str
    example: str

    def described(self) -> str:
        """Describe it in one line, with what to do."""
        most, fix = f"ignored as type {self.type}", "give orders the type order, or send these events elsewhere"
        if self.reason is not None and self.refused >= self.ignored:
            what = f" ({self.detail})" if self.detail else ""
            most, fix = f"rejected as {self.reason}{what}", "`sidecar rejected` shows them"
        example = f", such as {self.example}" if self.example else ""
        count = self.refused + self.ignored
        return f"{count} of {self.received} events of the last minute are not understood, most {most}{example}; {fix}"


class _SourceSecond(Struct):
    received: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    ignored: Counter[str] = field(default_factory=Counter)


class _SourceMinute(Struct):
    seconds: dict[int, _SourceSecond] = field(default_factory=dict)
    examples: dict[str, tuple[str, bytes]] = field(default_factory=dict)  # by reason or type: detail and payload


class Understanding:
    """The last minute of every source."""

    def __init__(self) -> None:
        self._sources: dict[str, _SourceMinute] = {}

    def saw(self, source: str, now: float, received: int) -> None:
        """Note how many events arrived."""
        if (second := self._second(source, now)) is not None:
            second.received += received

    def rejected(self, source: str, now: float, rejection: Rejection) -> None:
        """Note a rejected event."""
        if (second := self._second(source, now)) is not None:
            second.rejected[rejection.reason] += 1
            self._sources[source].examples[rejection.reason] = (rejection.detail, rejection.payload)

    def ignored(self, source: str, now: float, types: Mapping[str, int], payloads: Iterable[bytes]) -> None:
        """Note events of unknown types, which are among `payloads`."""
        second = self._second(source, now) if types else None
        if second is None:
            return
        examples = self._sources[source].examples
        for name, count in types.items():
            known = name in second.ignored or len(second.ignored) < MAX_NAMES
            if known and name not in second.ignored:
                example = next((payload for payload in payloads if name.encode() in payload), b"")
                examples[name] = ("", example[:_READ_BYTES])
            second.ignored[name if known else OTHER] += count

    def step(self, by: float) -> None:
        """Follow a clock that was set by `by` seconds."""
        for source in self._sources.values():
            source.seconds = {at + round(by): one for at, one in source.seconds.items()}

    def last_minute(self, now: float) -> dict[str, NotUnderstood]:
        """Return what was not understood, for each source with any such event."""
        found = ((name, _sum(source, now)) for name, source in self._sources.items())
        return {name: one for name, one in found if one is not None}

    def _second(self, name: str, now: float) -> _SourceSecond | None:
        source = self._sources.get(name)
        if source is None:
            if len(self._sources) >= MAX_SOURCES:
                return None
            source = self._sources[name] = _SourceMinute()
        second = int(now)
        if second not in source.seconds:
            source.seconds[second] = _SourceSecond()
            _forget(source, now)
        return source.seconds[second]


def masked(payload: bytes) -> str:
    """Return the beginning of a JSON payload, with the values masked except those of the fields in `_SHOWN`."""
    text = payload[:_READ_BYTES].decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    if text[:1] not in ("{", "["):
        return ""
    name = ""

    def mask(found: re.Match[str]) -> str:
        nonlocal name
        if found[1] is None:
            return found[0] if found[0] in ("true", "false", "null", "NaN") else "0" if found[0][-1:].isdigit() else "…"
        if found[3] is not None:
            name = found[1].lower()
            return found[0]
        shown = name in _SHOWN and found[2]
        return f'"{found[1][:40]}"' if shown else '"…"'

    return _TOKEN.sub(mask, text)[:_SHOWN_CHARACTERS]


def _forget(source: _SourceMinute, now: float) -> None:
    """Drop everything outside the last minute, also seconds in the future after a clock was set back."""
    source.seconds = {at: one for at, one in source.seconds.items() if now - MINUTE_SECONDS < at <= now}
    names = {name for one in source.seconds.values() for name in (*one.rejected, *one.ignored)}
    source.examples = {name: one for name, one in source.examples.items() if name in names}


def _sum(source: _SourceMinute, now: float) -> NotUnderstood | None:
    _forget(source, now)
    received = sum(one.received for one in source.seconds.values())
    rejected, ignored = Counter[str](), Counter[str]()
    for one in source.seconds.values():
        rejected.update(one.rejected)
        ignored.update(one.ignored)
    count = rejected.total() + ignored.total()
    if not count:
        return None
    reason, kind = _most(rejected), _most(ignored)
    detail, example = source.examples.get((reason if rejected.total() >= ignored.total() else kind) or "", ("", b""))
    return NotUnderstood(
        share=min(count / max(received, 1), 1.0),
        received=received,
        refused=rejected.total(),
        ignored=ignored.total(),
        reason=reason,
        type=kind,
        detail=detail.partition(", got ")[0],
        example=masked(example),
    )


def _most(counts: Counter[str]) -> str | None:
    return max(counts, key=lambda name: counts[name]) if counts else None
