"""What is firing about an SLO, as it is stored: since when, and when its condition last held."""

from typing import Any

import msgspec
from msgspec import Struct


class SloAlert(Struct, frozen=True, array_like=True):
    """Unix seconds, `None` if it does not fire."""

    page_since: float | None = None
    page_seen: float | None = None
    warn_since: float | None = None
    warn_seen: float | None = None


class SloPart:
    """An alert as a part of the State."""

    __slots__ = ("alert",)

    def __init__(self, alert: SloAlert) -> None:
        self.alert = alert

    def merge(self, other: "SloPart") -> None:
        """Take the one that fires: each member of a fleet judges for itself."""
        self.alert = max(self.alert, other.alert, key=lambda one: (one.page_seen or 0.0, one.warn_seen or 0.0))

    def copy(self) -> "SloPart":
        return SloPart(self.alert)

    def dump(self) -> Any:
        return msgspec.to_builtins(self.alert)

    @classmethod
    def load(cls, data: Any) -> "SloPart":
        return cls(msgspec.convert(data, SloAlert))
