"""Which producers are alive: one that sends heartbeats is noticed when it falls silent.

A producer is watched from its third heartbeat on. It is silent once nothing came from it for 5 s, or for three times
the longest of its last gaps between heartbeats. Outages, backlogs and takeovers do not count; after one, every producer
has 15 s. A producer falls silent only while a sale runs; outside of a sale it has left. So has one that was silent for
an hour, or that a later one replaced: a process that restarted under another name, as in a deployment.
"""

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct, field

Presence = Literal["alive", "silent"]

QUIET_SECONDS = 5.0
GAPS = 3.0  # a producer may be quiet for this many of its longest gaps
GAPS_KEPT = 5
GAPS_NEEDED = 2
SETTLING_SECONDS = 15.0  # after an outage: clients wait before they reconnect
WATCHED_SECONDS = 3600.0
BEFORE_SECONDS = 30.0  # a deployment may start the new process this long before it stops the old one
ROOM_SECONDS = 60.0  # after this, a producer that is not watched may be forgotten for another
STORED_SECONDS = 5.0  # how old the stored time of an alive producer may be
CHECKER = "sidecar-check"  # the name under which `sidecar check` sends heartbeats; it is no producer


class Sign:
    """The signs of life of one producer: when it was first `met` and last `seen` (Unix seconds), its newest epoch, and
    the last gaps between its heartbeats in seconds. `took`: it already replaced another producer.
    """

    __slots__ = ("beat", "epoch", "gaps", "left", "met", "restarts", "seen", "silent", "took")

    def __init__(self, met: float) -> None:
        self.met = self.seen = met
        self.beat: float | None = None
        self.gaps: tuple[float, ...] = ()
        self.epoch: str | None = None
        self.restarts = 0
        self.silent = self.left = self.took = False

    @property
    def state(self) -> Presence | None:
        """Whether it is alive or silent; `None` if it is not watched."""
        if self.left or len(self.gaps) < GAPS_NEEDED:
            return None
        return "silent" if self.silent else "alive"

    @property
    def patience(self) -> float:
        """How long it may be quiet, in seconds."""
        return max(QUIET_SECONDS, GAPS * max(self.gaps))

    def merge(self, other: "Sign") -> None:
        """Replace this by what is known later."""
        for name in self.__slots__:
            setattr(self, name, getattr(other, name))

    def copy(self) -> "Sign":
        twin = Sign(self.met)
        twin.merge(self)
        return twin

    def step(self, by: float, now: float) -> None:
        """Follow a clock that was set by `by` seconds, to `now`."""
        self.met, self.seen = (max(min(at + by, now), 0.0) for at in (self.met, self.seen))
        self.beat = None

    def dump(self) -> Any:
        return [self.met, self.seen, list(self.gaps), self.epoch, self.restarts, self.silent, self.left, self.took]

    @classmethod
    def load(cls, data: Any) -> "Sign":
        sign = cls(0.0)
        sign.met, sign.seen, gaps, sign.epoch, sign.restarts, sign.silent, sign.left, sign.took = data
        sign.gaps = tuple(gaps)
        return sign


class Changes(Struct, frozen=True):
    """Which producers fell silent, and which returned."""

    silent: list[str] = field(default_factory=list)
    returned: list[str] = field(default_factory=list)


class Watch:
    """The signs of life of producers that sent heartbeats, or restarted."""

    def __init__(self, most: int) -> None:
        """Keep at most `most` of them."""
        self.signs: dict[str, Sign] = {}
        self._most = most
        self._deaf = 0.0  # until when some could not be heard

    def beat(self, name: str, epoch: str | None, arrival: float) -> None:
        """Take a heartbeat."""
        sign = None if name == CHECKER else self._known(name, arrival)
        if sign is None:
            return
        if sign.left:
            sign.gaps, sign.met, sign.left, sign.took = (), arrival, False, False
        elif sign.beat is not None and not sign.silent and epoch == sign.epoch:
            sign.gaps = (*sign.gaps, max(arrival - sign.beat, 0.0))[-GAPS_KEPT:]
        if sign.epoch is None:
            sign.epoch = epoch
        sign.beat = arrival

    def restarted(self, name: str, epoch: str | None, now: float) -> None:
        """Take a restart that sequence numbers show, unless its epoch is already known."""
        sign = self._known(name, now)
        if sign is not None and (epoch is None or epoch != sign.epoch):
            sign.restarts += 1
            sign.epoch = epoch

    def look(self, heard: Mapping[str, float], now: float, *, hears: bool, sale: bool) -> Changes:
        """Judge all producers; `heard` is when each was last heard of (Unix seconds).

        `hears`: all could be heard since the last call. `sale`: a sale runs, so silence matters.
        """
        fallen, changes = [], Changes()
        if not hears:
            self._deaf = now
        for name, sign in self.signs.items():
            seen = min(max(sign.seen, sign.beat or 0.0, heard.get(name, 0.0)), now)
            if sign.silent and seen > sign.seen:
                sign.silent = False
                changes.returned.append(name)
            sign.seen = seen
            if sign.state == "alive" and self._is_quiet(sign, now):
                sign.silent, sign.left = sale, not sale
                fallen.append(name)
        self._let_go(now, sale=sale)
        changes.silent.extend(name for name in fallen if name in self.signs and self.signs[name].silent)
        return changes

    def load(self, signs: Mapping[str, Sign]) -> None:
        """Continue with stored signs."""
        self.signs = {name: sign.copy() for name, sign in signs.items()}

    def step(self, by: float, now: float) -> None:
        """Follow a clock that was set by `by` seconds, to `now`."""
        self._deaf = now
        for sign in self.signs.values():
            sign.step(by, now)

    def unsaved(self, stored: Mapping[str, Sign]) -> dict[str, Sign]:
        """Return copies of the signs that differ from the stored ones."""
        return {name: sign.copy() for name, sign in self.signs.items() if _is_news(sign, stored.get(name))}

    def _is_quiet(self, sign: Sign, now: float) -> bool:
        return now - self._deaf > SETTLING_SECONDS and now - max(sign.seen, self._deaf) > sign.patience

    def _known(self, name: str, now: float) -> Sign | None:
        """Return the sign of a producer; add one if there is room."""
        if name not in self.signs and len(self.signs) < self._most:
            self.signs[name] = Sign(now)
        return self.signs.get(name)

    def _let_go(self, now: float, *, sale: bool) -> None:
        """Let silent producers leave if they were replaced, or outside of a sale; forget those not needed any more."""
        silent = sorted((one for one in self.signs.values() if one.silent), key=lambda one: one.seen)
        newcomers = [one for one in self.signs.values() if one.state == "alive" and not one.took] if silent else []
        for sign in silent:
            successor = next((one for one in newcomers if _takes_place(one, sign)), None)
            if successor is not None:
                successor.took = True
                newcomers.remove(successor)
            if successor is not None or not sale:
                sign.silent, sign.left = False, True
        room = ROOM_SECONDS if len(self.signs) >= self._most else WATCHED_SECONDS
        for name, sign in list(self.signs.items()):
            if now - sign.seen > (WATCHED_SECONDS if sign.state else room):
                del self.signs[name]


def _takes_place(newcomer: Sign, gone: Sign) -> bool:
    """Return whether one came when the other left; producers that started together do not replace each other."""
    if newcomer.met > gone.seen:
        return True
    return newcomer.met > gone.seen - BEFORE_SECONDS and newcomer.met > gone.met + BEFORE_SECONDS


def _is_news(sign: Sign, stored: Sign | None) -> bool:
    if stored is None:
        return sign.state is not None or sign.restarts > 0
    same = (sign.state, sign.restarts, sign.epoch, sign.left, sign.took) == (
        stored.state,
        stored.restarts,
        stored.epoch,
        stored.left,
        stored.took,
    )
    return not same or sign.seen - stored.seen >= STORED_SECONDS
