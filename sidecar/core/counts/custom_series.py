"""The series of custom metrics: parts of the state that can be merged.

A series is stored under its metric's name and a fingerprint of its definition: one that was defined otherwise never
continues it.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any


def metric_of(key: str) -> str:
    """Return the name of the metric to which a series with this key belongs."""
    return key.partition("\n")[0]


class CustomSeries:
    """One series: how many values there were, their sum or the newest, and how many up to each bound.

    `at` is the Unix time of the newest value of a gauge, 0 for the others.
    """

    __slots__ = ("at", "buckets", "count", "number")

    def __init__(self, bounds: int = 0) -> None:
        self.count = 0
        self.number = Decimal(0)
        self.at = 0.0
        self.buckets = [0] * bounds

    def add(self, number: Decimal | int, times: int) -> None:
        """Add values whose sum is `number`."""
        self.count += times
        self.number += number

    def show(self, number: Decimal, at: float) -> None:
        """Take a value of a gauge, if none is newer."""
        self.count += 1
        if at >= self.at:
            self.number, self.at = number, at

    def fill(self, buckets: Mapping[int, int]) -> None:
        """Add to buckets, by their place."""
        for place, times in buckets.items():
            self.buckets[place] += times

    def merge(self, other: "CustomSeries") -> None:
        self.count += other.count
        if other.at or self.at:
            if other.at >= self.at:
                self.number, self.at = other.number, other.at
        else:
            self.number += other.number
            self.buckets = [mine + theirs for mine, theirs in zip(self.buckets, other.buckets, strict=True)]

    def step(self, by: float, now: float) -> None:
        """Follow a clock that was set by `by` seconds, to `now`: no value of a gauge is from the future."""
        if self.at:
            self.at = max(min(self.at + by, now), 0.0)

    def copy(self) -> "CustomSeries":
        twin = CustomSeries()
        twin.count, twin.number, twin.at, twin.buckets = self.count, self.number, self.at, list(self.buckets)
        return twin

    def dump(self) -> Any:
        return [self.count, format(self.number, "f"), self.at, self.buckets]

    @classmethod
    def load(cls, data: Any) -> "CustomSeries":
        part = cls()
        part.count, number, part.at, part.buckets = data
        part.number = Decimal(number)
        return part
