"""Values by second, for one minute."""

from array import array
from collections.abc import Iterator, Mapping
from typing import Self

SECONDS = 60
_UNKNOWN = -1
_ALL_UNKNOWN = array("q", [_UNKNOWN]) * SECONDS


class MinuteCounts(Mapping[int, int]):
    """The value of each Unix second of one minute; unknown seconds are not in it.

    It is an array, since dicts of an hour would take 1.1 MB, and grow for an hour.
    """

    __slots__ = ("_minute", "_values")

    def __init__(self) -> None:
        self._minute = 0  # since 1970; set with the first value
        self._values = _ALL_UNKNOWN[:]

    def __getitem__(self, second: int) -> int:
        value = self._values[second % SECONDS] if second // SECONDS == self._minute else _UNKNOWN
        if value == _UNKNOWN:
            raise KeyError(second)
        return value

    def __setitem__(self, second: int, value: int) -> None:
        self._minute = second // SECONDS
        self._values[second % SECONDS] = value

    def __iter__(self) -> Iterator[int]:
        start = self._minute * SECONDS
        return (start + i for i, value in enumerate(self._values) if value != _UNKNOWN)

    def __len__(self) -> int:
        return SECONDS - self._values.count(_UNKNOWN)

    def add(self, second: int, count: int) -> None:
        """Count more in a second."""
        self[second] = self.get(second, 0) + count

    def cut(self, end: int) -> None:
        """Forget the seconds from `end` on."""
        first = min(max(end - self._minute * SECONDS, 0), SECONDS)
        self._values[first:] = _ALL_UNKNOWN[first:]

    def copy(self) -> Self:
        """Return an independent equal table."""
        twin = type(self)()
        twin._minute, twin._values = self._minute, self._values[:]
        return twin

    def dump(self) -> list[int]:
        """Return [first second, distance, value, distance, value, ...]: a few bytes per second instead of nine."""
        first = next(iter(self), None)
        if first is None:
            return []
        return [first, *(number for second, value in self.items() for number in (second - first, value))]

    @classmethod
    def load(cls, data: list[int]) -> Self:
        """Return the dumped table. Raises ValueError if it has more than one minute."""
        table = cls()
        for distance, value in zip(data[1::2], data[2::2], strict=True):
            table[data[0] + distance] = value
            if table._minute != data[0] // SECONDS:
                raise ValueError("a second is not of its minute")
        return table
