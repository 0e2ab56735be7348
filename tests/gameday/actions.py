"""What a step of a scenario does: functions that return what is done to the stage."""

import signal
import sys
from collections.abc import Callable
from typing import Any, Protocol

from monitoring.native.layout import ROOT, Program
from sidecar.simulation import SimulatedSale
from tests.gameday.shop import Shop
from tests.gameday.stack import LaneStack


class Stage(Protocol):
    """What actions act on; `now` is the time of the wall."""

    shop: Shop
    stack: LaneStack

    def now(self) -> float: ...


Action = Callable[[Stage], None]


def turn(**knobs: Any) -> Action:
    """Turn knobs of the shop."""

    def act(stage: Stage) -> None:
        for name, value in knobs.items():
            assert hasattr(stage.shop.knobs, name), name
            setattr(stage.shop.knobs, name, value)

    return act


def die(*processes: str) -> Action:
    """End backend processes without a word."""
    return lambda stage: stage.shop.kill(*processes)


def revive() -> Action:
    """Start the dead backend processes again."""
    return lambda stage: stage.shop.revive(stage.now())


def replace(process: str, other: str) -> Action:
    """Stop a backend process, and start another one in its place."""
    return lambda stage: stage.shop.replace(process, other, stage.now())


def say(action: str) -> Action:
    """Let the backend say that the sale starts or stops."""
    return lambda stage: stage.shop.say(action)


def stock(product: str, units: int) -> Action:
    """Let the shop say another stock."""
    return lambda stage: stage.shop.set_stock(product, units)


def lose_one() -> Action:
    """Let one event get lost that has a number."""
    return lambda stage: stage.shop.skip()


def kill(program: str) -> Action:
    """`kill -9`."""
    return lambda stage: stage.stack.send(program, signal.SIGKILL)


def stop(program: str) -> Action:
    """Stop a program as a deployment does."""
    return lambda stage: stage.stack.send(program, signal.SIGTERM)


def freeze(program: str) -> Action:
    """`kill -STOP`."""
    return lambda stage: stage.stack.send(program, signal.SIGSTOP)


def thaw(program: str) -> Action:
    """`kill -CONT`."""
    return lambda stage: stage.stack.send(program, signal.SIGCONT)


def start(program: str) -> Action:
    """Start a program that has ended."""
    return lambda stage: stage.stack.again(program)


def replace_by_empty(program: str) -> Action:
    """`kill -9` a Redis, and start another one in its place, which has nothing."""

    def act(stage: Stage) -> None:
        stage.stack.send(program, signal.SIGKILL)
        stage.stack.empty(program)
        stage.stack.again(program)

    return act


def configure(name: str, value: str) -> Action:
    """`CONFIG SET` at the Redis."""
    return lambda stage: stage.stack.configure(name, value)


def fill_disk() -> Action:
    """Let Redis write no more to its disk."""
    return lambda stage: stage.stack.fill_disk(full=True)


def free_disk() -> Action:
    """Let Redis write to its disk again."""
    return lambda stage: stage.stack.fill_disk(full=False)


def simulate(*, transport: str = "stream", **sale: int) -> Action:
    """Run `sidecar simulate`; the same seed tells what it publishes."""

    def act(stage: Stage) -> None:
        options = [f"--{name}={value}" for name, value in sale.items()]
        command = (sys.executable, "-m", "sidecar", "simulate", f"--transport={transport}", *options)
        stage.stack.run(Program("simulate", command, ROOT, stage.stack.environment()))
        for _, event in SimulatedSale(**sale):
            stage.shop.truth.add(event)

    return act
