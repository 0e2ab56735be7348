"""Walking: take the steps one by one, and say after which something differs."""

from collections.abc import Sequence

import structlog

from tests.walk.fleet import FleetWalker
from tests.walk.ground import Hands
from tests.walk.steps import Freeze, Other, Step, Wait
from tests.walk.walker import Ground, Walker


async def walk(steps: Sequence[Step], hands: Hands | None = None, ground: Ground | None = None) -> int:
    """Walk; return how often was compared. Raises AssertionError that says at which step what differs."""
    taken: list[Step] = []
    walker = FleetWalker() if any(isinstance(step, Freeze | Other) for step in steps) else Walker(hands, ground)
    with structlog.testing.capture_logs():
        await walker.begin()
        try:
            for step in steps:
                taken.append(step)
                await walker.take(step)
            await walker.take(Wait(6.1))
        except AssertionError as exc:
            path = "\n".join(f"    {step}," for step in taken)
            raise AssertionError(f"{exc}\nafter\n{path}") from exc
    return walker.comparisons
