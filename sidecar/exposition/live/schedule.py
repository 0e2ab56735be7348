"""Which members are due when: those with equal wishes and nearly the same phase form a group, which is due together.

So there are a few groups to handle, not thousands of timers. Nothing here waits or reads a clock: `now` comes in, the
next deadline goes out, in seconds of any one clock. Inside, times are whole microseconds, so that equal phases are
exactly equal.
"""

from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

US_PER_SECOND = 10**6
# Everything due within the same 20 ms is due at their end: at most 50 wake-ups a second, whatever the phases.
GRAIN_US = 20_000

Member = TypeVar("Member", bound=Hashable)
Wish = TypeVar("Wish", bound=Hashable)


class Group(Generic[Member, Wish]):
    """Members that want the same at the same times: at `due_us`, and every interval after it."""

    __slots__ = ("due_us", "interval_us", "members", "wish")

    def __init__(self, wish: Wish, interval_us: int, due_us: int) -> None:
        self.wish = wish
        self.interval_us = interval_us
        self.due_us = due_us
        self.members: set[Member] = set()

    @property
    def name(self) -> tuple[Wish, int]:
        """The wish and the phase, which identify it."""
        return self.wish, self.due_us % self.interval_us


class Schedule(Generic[Member, Wish]):
    """All groups, by the grain of time at whose end they are due."""

    def __init__(self) -> None:
        self._named: dict[tuple[Wish, int], Group[Member, Wish]] = {}
        self._grains: dict[int, set[Group[Member, Wish]]] = {}
        self._group_of: dict[Member, Group[Member, Wish]] = {}

    def join(self, member: Member, wish: Wish, interval: float, now: float) -> None:
        """Add a member, first due within a grain of `now`; equal wishes have equal intervals."""
        now_us, interval_us = round(now * US_PER_SECOND), round(interval * US_PER_SECOND)
        since_us = now_us % interval_us
        new = Group[Member, Wish](wish, interval_us, now_us - since_us + -(-since_us // GRAIN_US) * GRAIN_US)
        while (group := self._named.setdefault(new.name, new)).due_us > new.due_us:
            new.due_us += GRAIN_US  # that group was just due
        if group is new:
            self._grains.setdefault(_grain(group), set()).add(group)
        group.members.add(member)
        self._group_of[member] = group

    def leave(self, member: Member) -> None:
        """Remove a member, if it has joined, and its group if it was the last."""
        group = self._group_of.pop(member, None)
        if group is None:
            return
        group.members.discard(member)
        if not group.members:
            del self._named[group.name]
            self._remove(group)

    def has(self, group: Group[Member, Wish], member: Member) -> bool:
        """Return whether the member is in the group."""
        return self._group_of.get(member) is group

    def next_due(self) -> float | None:
        """Return when the next group is due, `None` if there is none."""
        return min(self._grains) * GRAIN_US / US_PER_SECOND if self._grains else None

    def take(self, now: float) -> Iterator[tuple[Group[Member, Wish], list[Member]]]:
        """Yield every due group with its present members, and schedule it for the next time.

        Between two steps members may join and leave: check with `has`.
        """
        now_us = round(now * US_PER_SECOND)
        for grain in sorted(grain for grain in self._grains if grain * GRAIN_US <= now_us):
            for group in list(self._grains.get(grain, ())):
                if group.members:
                    self._remove(group)
                    group.due_us = following(group.due_us, group.interval_us, now_us)
                    self._grains.setdefault(_grain(group), set()).add(group)
                    yield group, list(group.members)

    def _remove(self, group: Group[Member, Wish]) -> None:
        grain = _grain(group)
        self._grains[grain].remove(group)
        if not self._grains[grain]:
            del self._grains[grain]


def _grain(group: Group[Member, Wish]) -> int:
    return -(-group.due_us // GRAIN_US)


def following(due: int, interval: int, now: int) -> int:
    """Return the next time of the same phase after now."""
    return due + interval * max(1, (now - due) // interval + 1)
