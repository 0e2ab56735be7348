"""The phases of a sale as they are stored: where it stands, how it came there, and what counted in each."""

from typing import Any, Literal, cast

import msgspec
from msgspec import Struct

PhaseName = Literal["planned", "warm_up", "rush", "tail", "sold_out", "ended"]
PHASES: tuple[PhaseName, ...] = ("planned", "warm_up", "rush", "tail", "sold_out", "ended")
MOST_CHANGES = 100


class PhaseChange(Struct, frozen=True, array_like=True):
    """When a phase began, in Unix seconds, and what showed it."""

    at: float
    phase: PhaseName
    trigger: str


class PhaseProgress(Struct, frozen=True, array_like=True):
    """Where a sale stands. Seconds are whole Unix seconds of event time.

    `seen` is the last second that was judged. `best` are the most orders within ten of them. The rate has been low, or
    high again, since `low_since` and `high_since`; every product has been sold out since `out_since`.
    """

    changes: tuple[PhaseChange, ...] = ()
    seen: int = 0
    best: int = 0
    low_since: int | None = None
    high_since: int | None = None
    out_since: float | None = None

    @property
    def phase(self) -> PhaseName | None:
        """The present phase, `None` without a sale or a plan for one."""
        return self.changes[-1].phase if self.changes else None


class PhasePart:
    """PhaseProgress as a part of the State."""

    __slots__ = ("progress",)

    def __init__(self, progress: PhaseProgress) -> None:
        self.progress = progress

    def merge(self, other: "PhasePart") -> None:
        """Take the one that has seen more: each member of a fleet judges for itself."""
        self.progress = max(self.progress, other.progress, key=lambda one: one.seen)

    def copy(self) -> "PhasePart":
        return PhasePart(self.progress)

    def step(self, now: float) -> None:
        """Follow a clock that was set to `now`: no second that was seen lies in the future."""
        self.progress = msgspec.structs.replace(self.progress, seen=min(self.progress.seen, int(now)))

    def dump(self) -> Any:
        return msgspec.to_builtins(self.progress)

    @classmethod
    def load(cls, data: Any) -> "PhasePart":
        return cls(msgspec.convert(data, PhaseProgress))


class Timeline:
    """The phases by time, for orders that are counted: each belongs to the phase of its time."""

    def __init__(self, changes: tuple[PhaseChange, ...]) -> None:
        self.changes = changes

    def continues(self, before: tuple[PhaseChange, ...]) -> bool:
        """Return whether it is that of the same sale; late orders may have moved its start."""
        same = [change.phase for change in before] == [change.phase for change in self.changes[: len(before)]]
        return same and all(one.at <= old.at for one, old in zip(self.changes, before, strict=False))

    def key(self, second: int) -> str | None:
        """Return the part that counts a second, `number:phase`; `None` outside of a sale."""
        for number in range(len(self.changes), 0, -1):
            change = self.changes[number - 1]
            if second >= int(change.at):
                return f"{number}:{change.phase}"
        return None


def phase_of(key: str) -> PhaseName:
    """Return the phase of a part."""
    return cast(PhaseName, key.partition(":")[2])
