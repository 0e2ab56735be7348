"""What the contract says about sequence numbers, plainly: one dict of holes for each run of a producer."""

from dataclasses import dataclass, field
from typing import Literal

GRACE_SECONDS = 5.0
OPEN_EPOCHS = 2

Verdict = Literal["new", "recovered", "duplicate"]
# What became of a number below the highest that has not come: when it will be missed, or why it never will be, again.
Fate = float | Literal["missed", "forgotten", "before contact"]


@dataclass
class Run:
    """One run of a producer: its highest number, and those below it that have not come."""

    epoch: str | None
    high: int = 0
    holes: dict[int, Fate] = field(default_factory=dict)

    def reach(self, high: int, last_hole: int, fate: Fate) -> None:
        """Learn of a higher number."""
        self.holes |= dict.fromkeys(range(self.high + 1, last_hole + 1), fate)
        self.high = high

    def miss(self, now: float) -> int:
        """Miss what is due; return how many numbers that is."""
        due = [number for number, fate in self.holes.items() if isinstance(fate, float) and fate <= now]
        self.holes |= dict.fromkeys(due, "missed")
        return len(due)


@dataclass
class Producer:
    """The runs of one producer on one source: those open, oldest first, and those that were closed."""

    open: list[Run]
    closed: list[Run] = field(default_factory=list)
    newest_ts: float = 0.0
    missed_at_once: int = 0

    def run(self, epoch: str | None) -> Run | None:
        """Return the open run an event belongs to."""
        if epoch is None:
            return self.open[-1]
        return next((run for run in self.open if run.epoch == epoch), None)

    def begin(self, epoch: str | None) -> Run:
        """Open a run, or one that returns; the oldest closes, and what is open in it is missed at once."""
        known = next((run for run in self.closed if epoch is not None and run.epoch == epoch), None)
        if known is not None:
            self.closed.remove(known)
        self.open.append(known or Run(epoch))
        if len(self.open) > OPEN_EPOCHS:
            closing = self.open.pop(0)
            self.missed_at_once += closing.miss(float("inf"))
            self.closed.append(closing)
        return self.open[-1]


class Numbers:
    """All producers of one source. Times are seconds of a clock that nobody sets."""

    def __init__(self) -> None:
        self.producers: dict[str, Producer] = {}

    def see(self, producer: str, epoch: str | None, seq: int, ts: float | None, now: float) -> Verdict:
        """Judge the number of an event; `ts` is its explicit time."""
        known = self.producers.get(producer)
        if known is None:
            run = Run(epoch)
            run.reach(seq, seq - 1, "before contact")
            self.producers[producer] = Producer([run], newest_ts=ts or 0.0)
            return "new"
        newer = ts is not None and ts > known.newest_ts
        known.newest_ts = max(known.newest_ts, ts or 0.0)
        run = known.run(epoch) or known.begin(epoch)
        if seq <= run.high:
            fate = run.holes.get(seq)
            if fate is not None and (epoch is not None or fate != "before contact"):
                del run.holes[seq]
                return "recovered" if fate == "missed" else "new"
            if epoch is not None or not (seq == 1 or newer or fate == "before contact"):
                return "duplicate"
            run = known.begin(None)
        run.reach(seq, seq - 1, now + GRACE_SECONDS)
        return "new"

    def beat(self, producer: str, epoch: str | None, seq: int, now: float) -> None:
        """Learn from a heartbeat that `seq` was the last number sent."""
        known = self.producers.get(producer)
        if known is None:
            run = Run(epoch)
            run.reach(seq, seq, "before contact")
            self.producers[producer] = Producer([run])
            return
        run = known.run(epoch) or known.begin(epoch)
        if seq > run.high:
            run.reach(seq, seq, now + GRACE_SECONDS)

    def miss(self, now: float) -> dict[str, int]:
        """Return by producer how many numbers are missed since the last call."""
        missed = {}
        for name, known in self.producers.items():
            missed[name] = known.missed_at_once + sum(run.miss(now) for run in known.open)
            known.missed_at_once = 0
        return {name: count for name, count in missed.items() if count}

    def forget_missed(self) -> None:
        """A clear forgets what was missed: a number that still comes is just new."""
        for known in self.producers.values():
            for run in (*known.open, *known.closed):
                missed = [number for number, fate in run.holes.items() if fate == "missed"]
                run.holes |= dict.fromkeys(missed, "forgotten")
