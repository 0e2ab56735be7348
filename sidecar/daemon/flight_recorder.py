"""The flight recorder: a Recorder for the Ledger of this daemon while one is configured."""

import asyncio
import re
import time
from pathlib import Path

import structlog
from msgspec import UNSET
from msgspec.structs import astuple

from sidecar.config import Config, RecorderConfig
from sidecar.core.journal.journaled import JournaledLedger
from sidecar.daemon.build import header
from sidecar.daemon.candidacy import random_id
from sidecar.exposition.published import Component
from sidecar.process.telemetry import Telemetry
from sidecar.recording.recorder import Recorded, Recorder

LOOK_SECONDS = 1.0
DROPPED_SECONDS = 60.0  # a loss is shown for this long


class FlightRecorder:
    """Starts and ends recorders, and says how they are."""

    def __init__(self, ledger: JournaledLedger, config: Config, telemetry: Telemetry) -> None:
        """`config` is that with which the Ledger was built."""
        self._ledger = ledger
        self._config = config
        self._recorder: Recorder | None = None
        self._ended: list[Recorder] = []
        self._recorded = Recorded()
        self._log = structlog.get_logger("sidecar")
        telemetry.count_recorded(lambda: astuple(self._recorded))

    @property
    def component(self) -> Component | None:
        """Its state, for `/monitoring/health`; `None` if it is off."""
        recorder = self._recorder
        if recorder is None:
            return None
        if recorder.problem:
            return Component("degraded", f"{recorder.problem}; make it right, then send SIGHUP. Counting continues")
        if time.monotonic() - recorder.dropped_at < DROPPED_SECONDS:
            return Component("degraded", f"{self._recorded.dropped} events were not recorded: the disk is too slow")
        return Component("ok", recorder.file or UNSET)

    def begin(self, config: RecorderConfig) -> None:
        """Record as configured from now on. A running Ledger is recorded from its next commit."""
        if self._recorder is not None:
            self._ledger.conclude()
            self._recorder.end()
            self._ended.append(self._recorder)
        self._ledger.journal = self._recorder = self._new(config) if config.directory else None

    def reload(self, config: RecorderConfig, *, changed: bool) -> None:
        """Begin again if the settings changed, or if it had to stop."""
        if changed or (self._recorder is not None and self._recorder.problem):
            self.begin(config)

    async def run(self) -> None:
        """Until cancelled: log once if it had to stop."""
        told = ""
        while True:
            problem = self._recorder.problem if self._recorder else ""
            if problem and problem != told:
                self._log.error("recorder stopped", detail=f"{problem}; counting continues")
            told = problem
            await asyncio.sleep(LOOK_SECONDS)

    async def stop(self) -> None:
        """Write what waits, with a report at the end."""
        self.begin(RecorderConfig())
        for recorder in self._ended:
            await asyncio.to_thread(recorder.join)

    def _new(self, config: RecorderConfig) -> Recorder:
        self._log.info("recording", directory=config.directory)
        run = random_id()
        return Recorder(
            Path(config.directory),
            header=lambda rules: header(self._config, rules, made="daemon", run=run, owner=self._ledger.owner),
            name=re.sub("[^A-Za-z0-9._-]", "_", self._config.instance),
            max_bytes=config.max_bytes,
            interval=self._config.commit_interval,
            recorded=self._recorded,
        )
