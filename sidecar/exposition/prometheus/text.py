"""Families -> the lines of one of the two text expositions, to the byte as prometheus-client writes them.

That library takes 7 us a series, most of it to escape the same labels again. Here a column of samples shares its name,
and its labels are formatted once for as long as they stay the same, so that a series takes half a microsecond.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import add
from typing import Literal

from msgspec import Struct
from prometheus_client.utils import floatToGoString

from sidecar.core.counts.exemplars import Exemplar
from sidecar.exposition.prometheus.negotiation import Format

LabelTuple = tuple[str, ...]  # label values
# Lines made at a time: half a millisecond.
BLOCK = 1000
# The last suffix of a label set of a counter, and of a histogram.
LAST_OF_A_SET = ("_total", "_sum")
# From here on numbers have an exponent, as in Go.
EXPONENT_FROM = 10**6


class Column(Struct, frozen=True):
    """Samples of one name: `keys` are their label values, `values` go with them, `exemplars` are by index.

    `fine` has the samples of buckets by index of their bucket in `Histogram`, `None` if they are not known so finely.
    """

    suffix: str
    labels: tuple[str, ...]
    keys: Sequence[LabelTuple]
    values: Sequence[int | float]
    exemplars: Mapping[int, Exemplar] = {}
    fine: Mapping[int, int] | None = None


class Family(Struct, frozen=True):
    """A metric: its name without suffix, and its columns in order.

    `created` is when counting began, in Unix seconds: OpenMetrics shows it after the last sample of each label set.
    """

    name: str
    type: Literal["counter", "gauge", "histogram"]
    help: str
    columns: list[Column]
    created: float | None = None


class Writer:
    """Writes families, and keeps the formatted labels of each column until the next time."""

    def __init__(self) -> None:
        # By sample name and index of the column in its family: the keys, and the text before each value.
        self._spelled: dict[tuple[str, int], tuple[Sequence[LabelTuple], list[str]]] = {}
        # Likewise: the text before each value, when counting began, and the lines that say so.
        self._created: dict[tuple[str, int], tuple[list[str], float, list[str]]] = {}

    def write(self, families: Iterable[Family], format: Format) -> Iterator[list[str]]:
        """Yield lines, each with a line feed, at most `BLOCK` at a time. A family without samples is left out."""
        for family in families:
            if any(column.keys for column in family.columns):
                yield _head(family, format)
            for index, column in enumerate(family.columns):
                dated = format is Format.OPENMETRICS and column.suffix in LAST_OF_A_SET
                created = family.created if dated else None
                yield from self._write_column((family.name + column.suffix, index), column, format, created)

    def _write_column(
        self, identity: tuple[str, int], column: Column, format: Format, created: float | None
    ) -> Iterator[list[str]]:
        keys, heads = self._spelled.get(identity, ((), []))
        same = keys == column.keys
        known = {} if same else dict(zip(keys, heads, strict=True))
        spelled = heads if same else []
        for start in range(0, len(column.keys), BLOCK):
            block = slice(start, start + BLOCK)
            if not same:
                spelled += [known.get(key) or _spell(identity[0], column.labels, key) for key in column.keys[block]]
            lines = _lines(spelled[block], column.values[block])
            if format is Format.OPENMETRICS:
                _add_exemplars(lines, column.exemplars, start)
            yield (
                lines
                if created is None
                else list(map(add, lines, self._created_lines(identity, spelled, created)[block]))
            )
        self._spelled[identity] = (column.keys, spelled)

    def _created_lines(self, identity: tuple[str, int], spelled: list[str], created: float) -> list[str]:
        """Return the `_created` line of each rendered sample."""
        heads, at, lines = self._created.get(identity, ([], created, []))
        if heads is not spelled or at != created:
            lines = []
        bare, name, value = len(identity[0]), identity[0].rpartition("_")[0] + "_created", number(created)
        lines += [f"{name}{head[bare:]}{value}\n" for head in spelled[len(lines) :]]
        self._created[identity] = (spelled, created, lines)
        return lines


def _head(family: Family, format: Format) -> list[str]:
    suffix = "_total" if family.type == "counter" and format is Format.TEXT else ""
    name = family.name + suffix
    return [f"# HELP {name} {family.help}\n", f"# TYPE {name} {family.type}\n"]


def _spell(name: str, labels: tuple[str, ...], key: LabelTuple) -> str:
    """Return the text before the value."""
    pairs = [f'{label}="{escaped(value)}"' for label, value in sorted(zip(labels, key, strict=True))]
    return f"{name}{{{','.join(pairs)}}} " if pairs else f"{name} "


def _lines(heads: list[str], values: Sequence[int | float]) -> list[str]:
    """Append each value to its head; whole numbers, which nearly all are, without a call for each."""
    return [
        f"{head}{value}.0\n" if type(value) is int and 0 <= value < EXPONENT_FROM else f"{head}{number(value)}\n"
        for head, value in zip(heads, values, strict=True)
    ]


def _add_exemplars(lines: list[str], exemplars: Mapping[int, Exemplar], start: int) -> None:
    for index, one in exemplars.items():
        if 0 <= (at := index - start) < len(lines):
            labels = ",".join([f'{name}="{escaped(value)}"' for name, value in sorted(one.labels.items())])
            lines[at] = f"{lines[at][:-1]} # {{{labels}}} {number(one.value_seconds)} {one.ts}\n"


def escaped(value: str) -> str:
    """Escape a label value."""
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def number(value: int | float) -> str:
    """Format a value as a float; the library does so for large, infinite and NaN ones."""
    return repr(float(value)) if 0 <= value < EXPONENT_FROM else str(floatToGoString(value))  # type: ignore[no-untyped-call]
