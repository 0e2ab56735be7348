"""What the daemon counts, it records, if it is told to: from its start, or from the next commit on."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from sidecar.cli.replay import _replay
from sidecar.config import Config, RecorderConfig
from sidecar.core.journal.replay import Replay
from sidecar.daemon import flight_recorder as module
from tests.daemon.test_service import CONFIG, Ground, get
from tests.ledgers import order
from tests.waiting import eventually


def recording(directory: Path | str) -> Config:
    return replace(CONFIG, recorder=RecorderConfig(directory=str(directory)))


def replayed(directory: Path) -> Replay:
    return _replay(sorted(directory.iterdir()), None, None)


async def test_a_replay_has_the_state_and_the_report_of_the_daemon(tmp_path: Path) -> None:
    ground = Ground(recording(tmp_path))
    async with ground.running() as client:
        ground.channel.put(b"{}")
        await ground.counted(order(product_id="p", seq=1, producer="a"), order())
        health = (await get(client, "/monitoring/health"))["components"]
        assert (health["recorder"]["status"], health["recorder"]["detail"][:5]) == ("ok", "here-")
        async with client.get("/metrics") as response:
            assert 'recorder_events_total{outcome="written"}' in await response.text()
        ground.channel.put(order())
    found = replayed(tmp_path)
    assert (found.unlike, found.gaps, found.exact, found.events) == ([], [], True, 4)
    assert found.compared >= 2, "the report at the end is in it"
    assert found.ledger is not None
    aggregate = ground.service._ledger.aggregate
    assert found.ledger.aggregate.fields() == aggregate.fields()
    assert found.state.total.tallies["orders"]["success"] == 3


async def test_it_is_switched_on_and_off_in_a_running_daemon(tmp_path: Path) -> None:
    ground = Ground(CONFIG)
    async with ground.running() as client:
        await ground.counted(order(), order())
        assert "recorder" not in (await get(client, "/monitoring/health"))["components"]
        applied, _ = ground.service.reload(recording(tmp_path))
        assert applied == ["recorder.directory"]
        await eventually(lambda: ground.service._recorder._recorded.bytes > 0)
        ground.channel.put(order())
        await eventually(lambda: ground.total() == 3)
        ground.service.reload(replace(CONFIG, refusals=("x",)))
        ground.channel.put(order())
        await eventually(lambda: ground.total() == 4)
    found = replayed(tmp_path)
    assert (found.events, found.state.total.tallies["orders"]["success"], found.unlike) == (1, 3, [])


async def test_it_says_that_it_had_to_stop_and_begins_again_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.01)
    place = tmp_path / "place"
    place.write_text("a file")
    ground = Ground(recording(place))
    async with ground.running() as client:
        await ground.counted(order())

        async def component() -> Any:
            return (await get(client, "/monitoring/health"))["components"]["recorder"]

        async def stopped() -> bool:
            return bool((await component())["status"] == "degraded")

        await eventually(stopped)
        assert "stopped: " in (await component())["detail"]
        place.unlink()
        ground.service.reload(recording(place))
        await eventually(lambda: place.exists())
        await asyncio.sleep(0)
        assert (await component())["status"] == "ok"


def test_events_that_were_dropped_lately_are_told() -> None:
    ground = Ground(CONFIG)
    recorder = ground.service._recorder
    recorder.begin(RecorderConfig(directory="/nowhere"))
    assert recorder.component is not None and recorder.component.status == "ok"
    assert recorder._recorder is not None
    recorder._recorder.dropped_at = time.monotonic()
    assert recorder.component.detail == "0 events were not recorded: the disk is too slow"
    asyncio.run(recorder.stop())
    assert recorder.component is None
