"""Which producer names several processes seem to share, and which processes restart in a loop.

A shared name has mostly duplicates, or restarts under known epochs; a restart loop has a new epoch each time.
"""

from operator import add

from msgspec import Struct

WINDOW_SECONDS = 60.0
KEPT_SECONDS = 120.0  # how long an observation is kept
MIN_REPEATS = 20  # fewer come from a message or two that were sent again
MIN_RESTARTS = 10  # within two minutes: no healthy process restarts this often
MIN_EPOCHS = 4  # within two minutes: two deployments start a process twice
QUESTION = "do several processes use this name?"
ADVICE = f"{QUESTION} Give each a producer of its own"


Counts = tuple[int, int, int, int]  # received, duplicates, restarts under a known epoch, new epochs


class Use(Struct):
    """The use of one name in the minute from `since`, and in the one before."""

    since: float
    counts: Counts = (0, 0, 0, 0)
    before: Counts = (0, 0, 0, 0)

    def doubt(self, name: str) -> str:
        """Return what is wrong with the numbers of this name, "" if nothing is."""
        received, duplicates, restarts, epochs = map(add, self.counts, self.before)
        if duplicates >= MIN_REPEATS and duplicates >= received:
            share = duplicates / (received + duplicates)
            return f"most events of {name} are duplicates ({share:.0%} within two minutes): {ADVICE}"
        if restarts >= MIN_RESTARTS:
            return f"the numbers of {name} restarted {restarts} times within two minutes: {ADVICE}"
        if epochs >= MIN_EPOCHS:
            return f"{name} started {epochs} times within two minutes: is it restarting in a loop, or {QUESTION}"
        return ""


class SharedNames(dict[str, Use]):
    """The use of each name."""

    def note(self, name: str, counts: Counts, now: float, *, limit: int) -> None:
        """Add what arrived; a new name beyond `limit` is ignored."""
        use = self.get(name)
        if use is None:
            if len(self) >= limit:
                return
            use = self[name] = Use(now)
        elif now - use.since > WINDOW_SECONDS:
            use = self[name] = Use(now, before=use.counts)
        received, duplicates, restarts, epochs = use.counts
        use.counts = (received + counts[0], duplicates + counts[1], restarts + counts[2], epochs + counts[3])

    def step(self, by: float) -> None:
        """Follow a clock that was set by `by` seconds."""
        for use in self.values():
            use.since += by

    def forget(self, now: float) -> None:
        """Drop silent names."""
        for name in [name for name, use in self.items() if now - use.since >= KEPT_SECONDS]:
            del self[name]

    def doubts(self) -> dict[str, str]:
        """Return what is wrong, by name."""
        found = {name: use.doubt(name) for name, use in sorted(self.items())}
        return {name: doubt for name, doubt in found.items() if doubt}
