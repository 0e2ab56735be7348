"""One scenario, played on a stack of its own: its steps in time, what came to the webhook, what an operator saw."""

import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from tests.gameday.judge import Notice, Played
from tests.gameday.publisher import Publisher
from tests.gameday.samples import Sample
from tests.gameday.scenario import FAULT, RECOVERY, Scenario, products
from tests.gameday.shop import Shop
from tests.gameday.stack import LaneStack, get
from tests.gameday.truth import differences
from tests.gameday.webhook import Webhook

TICK_SECONDS = 0.05
SAMPLE_SECONDS = 1.0
SETTLE_SECONDS = 20.0  # a hole is missed 5 s after a heartbeat showed it; a busy machine takes longer
QUIET_SECONDS, QUIET_POLL_SECONDS = 60.0, 0.5
SEED = 1
KEPT = "lane.json"  # what was seen and what came, for who wants to look closer
STOPPED = "stopped before it was over"


class Result(Struct, frozen=True, kw_only=True):
    """What a lane brought home; times are seconds since its sale began."""

    scenario: Scenario
    played: Played
    samples: tuple[Sample, ...] = ()


def play(scenario: Scenario, folder: Path, stop: threading.Event, starting: threading.Semaphore) -> Result:
    """Play a scenario in an empty folder until it is over or `stop` is set; end all that it started."""
    if stop.is_set():
        return Result(scenario=scenario, played=Played(notices=(), trouble=STOPPED))
    lane = _Lane(scenario, folder, stop)
    with ExitStack() as ending:
        ending.callback(lane.webhook.close)
        ending.callback(lane.stack.stop)
        with starting:
            trouble = lane.stack.start(stop) or lane.await_quiet()
        if trouble or stop.is_set():
            return Result(scenario=scenario, played=Played(notices=(), trouble=STOPPED if stop.is_set() else trouble))
        ending.callback(lane.done.set)
        result = lane.play()
    (folder / KEPT).write_bytes(msgspec.json.encode({"played": result.played, "samples": result.samples}))
    return result


class _Lane:
    """The stage that steps act on."""

    def __init__(self, scenario: Scenario, folder: Path, stop: threading.Event) -> None:
        self.webhook = Webhook()
        stock = scenario.stock or products(8, 2000)
        self.shop = Shop(SEED, stock, transports=scenario.transports)
        self.stack = LaneStack(folder, self.webhook.server_port, sentinels=scenario.sentinels, standby=scenario.standby)
        self.done = threading.Event()
        self._scenario = scenario
        self._stop = stop
        self._samples: list[Sample] = []
        self._late_by = 0.0
        self._marks: dict[str, float] = {}

    def now(self) -> float:
        return time.time()

    def await_quiet(self) -> str:
        """Wait until the stack has started for its alerts, too; return what is wrong."""
        deadline = time.monotonic() + QUIET_SECONDS
        while not self.stack.is_quiet():
            if time.monotonic() > deadline or self._stop.wait(QUIET_POLL_SECONDS):
                return "the alerts of the start do not end"
        return ""

    def play(self) -> Result:
        """Play the steps, let the numbers settle, and tell what happened."""
        password = self.stack.passwords()["REDIS_PUBLISHER_PASSWORD"]
        stays = self._scenario.publisher_stays
        publisher = Publisher(self.stack.primary, "flash-sale-backend", password, stays=stays)
        publisher.start()
        began = time.monotonic()
        sampler = threading.Thread(target=self._sample, args=(began,), daemon=True)
        sampler.start()
        try:
            self._run_steps(began, publisher)
            wrong = self._settle(publisher)
        finally:
            self.done.set()
            publisher.finish()
            sampler.join()
        return self._result(began, wrong)

    def _run_steps(self, began: float, publisher: Publisher) -> None:
        steps = sorted(self._scenario.steps, key=lambda step: step.at)
        due = began
        while not self._stop.is_set() and (now := time.monotonic()) < began + self._scenario.lasts:
            self._late_by = max(self._late_by, now - due)
            while steps and steps[0].at <= now - began:
                step = steps.pop(0)
                if step.mark == RECOVERY or step.mark not in self._marks:
                    self._marks[step.mark] = time.monotonic() - began
                step.act(self)
            publisher.put(list(self.shop.step(self.now())))
            due = time.monotonic() + TICK_SECONDS
            self._stop.wait(TICK_SECONDS)

    def _settle(self, publisher: Publisher) -> Sequence[str]:
        """Wait until the numbers are those that were published; return what still differs."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while True:
            wrong = self._differences() if publisher.is_idle else ["not all was published: Redis does not take it"]
            if not wrong or time.monotonic() > deadline or self._stop.wait(SAMPLE_SECONDS):
                return wrong

    def _differences(self) -> list[str]:
        document = self._active("/monitoring/metrics")
        if document is None:
            return ["no sidecar shows numbers"]
        state, expected = document["sale"]["state"], "ended" if self._scenario.ends else "running"
        return [
            *differences(self.shop.truth, document, transport_loses=self._scenario.transport_loses),
            *([f"the sale is {state}, not {expected}"] if state != expected else []),
        ]

    def _active(self, path: str) -> Any:
        """Ask the sidecar that counts; of two that is the one which is no standby."""
        ports = self.stack.sidecars()[: 2 if self._scenario.standby else 1]
        answers = (get(port, path) for port in ports)
        return next((one for one in answers if one and one.get("role") == "active"), None)

    def _sample(self, began: float) -> None:
        while not self.done.wait(SAMPLE_SECONDS):
            at = time.monotonic() - began
            health = self._active("/monitoring/health")
            document = self._active("/monitoring/metrics")
            if health is None or document is None:
                self._samples.append(Sample(at))
                continue
            unwell = tuple(name for name, one in health["components"].items() if one["status"] not in ("ok", "standby"))
            self._samples.append(Sample(at, health["status"], unwell, document))

    def _result(self, began: float, wrong: Sequence[str]) -> Result:
        missed = self.stack.missed_evaluations() if self._marks.get("prometheus") is None else 0
        return Result(
            scenario=self._scenario,
            played=Played(
                notices=tuple(_since(began, self.webhook.notices)),
                fault_at=self._marks.get(FAULT),
                recovered_at=self._marks.get(RECOVERY),
                wrong_counts=tuple(wrong),
                late_by=max(self._late_by, 5.0 * missed),
                largest_message=self.webhook.largest,
                trouble=STOPPED if self._stop.is_set() else "",
            ),
            samples=tuple(self._samples),
        )


def _since(began: float, notices: Sequence[Notice]) -> list[Notice]:
    return [replace(one, at=one.at - began) for one in notices]
