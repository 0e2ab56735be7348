"""What is kept of each sale: its manifest, when it began and ended, and what was noted in between."""

from typing import Any

import msgspec
from msgspec import Struct

from sidecar.core.counts.manifest import Manifest, Marker

MOST_SALES = 100
MOST_NOTES = 1000  # markers, or restocks, of one sale


class Restock(Struct, frozen=True):
    """Units of a product that were added by hand, at a Unix time."""

    at: float
    product_id: str
    units: int


class SaleRecord(Struct, frozen=True, kw_only=True):
    """One sale; times are Unix seconds. `manifest` is `None` if it was started without one."""

    manifest: Manifest | None = None
    changed_at: float = 0.0
    started_at: float | None = None
    ended_at: float | None = None
    markers: tuple[Marker, ...] = ()
    restocks: tuple[Restock, ...] = ()


class SalePart:
    """A record as a part of the State."""

    __slots__ = ("record",)

    def __init__(self, record: SaleRecord) -> None:
        self.record = record

    def merge(self, other: "SalePart") -> None:
        """Take the record that changed later."""
        self.record = max(self.record, other.record, key=lambda record: record.changed_at)

    def copy(self) -> "SalePart":
        return SalePart(self.record)

    def dump(self) -> Any:
        return msgspec.json.encode(self.record)

    @classmethod
    def load(cls, data: Any) -> "SalePart":
        """Return what was dumped. Raises ValueError if its form is wrong."""
        return cls(msgspec.json.decode(data, type=SaleRecord))
