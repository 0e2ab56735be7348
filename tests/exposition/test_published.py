"""What is made once a tick, and goes with it."""

import asyncio
import gc
import weakref

import pytest

from sidecar.core.snapshot.snapshot import Snapshot
from sidecar.errors import UnavailableError
from sidecar.exposition import documents
from sidecar.exposition.published import Latest, Published
from tests.exposition.snapshots import snapshot


def test_each_form_is_rendered_once_a_tick() -> None:
    rendered: list[float] = []

    def uptime(snapshot: Snapshot) -> bytes:
        rendered.append(snapshot.uptime_s)
        return b"%d" % snapshot.uptime_s

    old, new = (Published(snapshot(uptime_s=uptime_s)) for uptime_s in (1.0, 2.0))
    assert [one.rendered(uptime) for one in (old, old, new, new, old)] == [b"1", b"1", b"2", b"2", b"1"]
    assert new.rendered(documents.full) == documents.full(new.snapshot)
    assert rendered == [1.0, 2.0]


def test_the_report_is_of_the_snapshot_as_of_its_commit_and_computed_once() -> None:
    """Without one, as for a fleet, it is that of now."""
    computed = []

    def as_committed() -> Snapshot:
        computed.append(1)
        return snapshot(ts=1.0)

    published = Published(snapshot(ts=2.0), None, as_committed)
    assert [published.reported(ts), published.reported(ts), Published(snapshot(ts=2.0)).reported(ts)] == [1.0, 1.0, 2.0]
    assert computed == [1]


def ts(one: Snapshot) -> float:
    return one.ts


def test_what_the_exposition_shows_is_the_snapshot_unless_told_otherwise() -> None:
    one, other = snapshot(), snapshot(uptime_s=99.0)
    assert Published(one).exposed is one
    assert Published(one, other).exposed is other


async def test_the_newest_is_waited_for_and_withdrawn() -> None:
    latest = Latest()
    waiting = asyncio.create_task(latest.newest())
    await asyncio.sleep(0)
    latest.publish(snapshot())
    assert await waiting is latest.published is await latest.newest()
    latest.withdraw()
    assert latest.published is None


class Merges:
    """Merges of the fleet, each of which waits until it may end."""

    def __init__(self) -> None:
        self.begun = 0
        self.may_end = asyncio.Event()
        self.away = False

    async def merge(self) -> Snapshot:
        self.begun += 1
        number = self.begun
        await self.may_end.wait()
        if self.away:
            raise UnavailableError("away")
        return snapshot(uptime_s=float(number), scope="fleet")


async def test_whoever_asks_during_a_tick_shares_one_merge() -> None:
    latest, merges = Latest(), Merges()
    asking = [asyncio.create_task(latest.fleet(merges.merge)) for _ in range(3)]
    await asyncio.sleep(0)
    asking[0].cancel()
    latest.publish(snapshot())
    asking.append(asyncio.create_task(latest.fleet(merges.merge)))
    merges.may_end.set()
    found = await asyncio.gather(*asking[1:])
    assert [one.snapshot.uptime_s for one in found] == [1, 1, 1], "also in the next tick, while it is under way"
    assert await latest.fleet(merges.merge) is found[0]
    latest.publish(snapshot())
    assert (await latest.fleet(merges.merge)).snapshot.uptime_s == 2


async def test_a_merge_that_failed_is_tried_again_with_the_next_tick() -> None:
    latest, merges = Latest(), Merges()
    merges.away = True
    merges.may_end.set()
    for _ in range(2):
        with pytest.raises(UnavailableError):
            await latest.fleet(merges.merge)
    assert merges.begun == 1
    merges.away = False
    latest.withdraw()
    assert (await latest.fleet(merges.merge)).snapshot.scope == "fleet"


async def test_a_stop_leaves_no_merge_behind() -> None:
    latest, merges = Latest(), Merges()
    await latest.stop()
    asking = asyncio.create_task(latest.fleet(merges.merge))
    await asyncio.sleep(0)
    await latest.stop()
    assert isinstance((await asyncio.gather(asking, return_exceptions=True))[0], asyncio.CancelledError)
    assert len(asyncio.all_tasks()) == 1


async def test_nothing_is_kept_longer_than_its_tick() -> None:
    latest, merges = Latest(), Merges()
    merges.may_end.set()
    latest.publish(snapshot())
    shown = [weakref.ref(await latest.newest()), weakref.ref(await latest.fleet(merges.merge))]
    latest.withdraw()
    await asyncio.sleep(0)  # the loop itself knows what it has just handed over
    gc.collect()
    assert [one() for one in shown] == [None, None]


async def test_what_was_withdrawn_before_a_waiter_woke_is_not_given_out() -> None:
    latest, newest = Latest(), snapshot(uptime_s=2.0)
    waiting = asyncio.create_task(latest.newer())
    await asyncio.sleep(0)
    latest.publish(snapshot(uptime_s=1.0))
    latest.withdraw()
    await asyncio.sleep(0)
    assert not waiting.done()
    latest.publish(newest)
    assert (await waiting).snapshot is newest
