"""The sources in memory keep what the real ones promise."""

import asyncio

import pytest

from sidecar.core.commit.commit import START
from sidecar.core.events.batch import Batch
from sidecar.sources.memory import BATCH, MemorySource, MemoryStream
from tests.ledgers import T0, order, owner, settle, shown


def clock() -> float:
    return T0


async def test_payloads_are_read_once_in_portions() -> None:
    source = MemorySource("pubsub:c", clock=clock)
    await source.connect()
    source.put(*[b"x"] * (BATCH + 1))
    sizes = []
    for _ in range(2):
        batch = await source.read()
        assert batch is not None
        assert (batch.source, batch.arrivals[0]) == ("pubsub:c", T0)
        sizes.append(len(batch.payloads))
    assert sizes == [BATCH, 1]
    handed: list[Batch] = []
    await source.leftover(handed.append)
    assert handed == []
    source.ask_again()
    await source.close()


async def test_who_waits_is_woken() -> None:
    source = MemorySource("pubsub:c")
    reading = asyncio.create_task(source.read())
    await asyncio.sleep(0)
    source.put(b"x")
    batch = await reading
    assert batch is not None
    assert batch.payloads == [b"x"]


async def test_what_a_cancelled_read_did_not_take_is_left_over() -> None:
    source = MemorySource("pubsub:c")
    reading = asyncio.create_task(source.read())
    await asyncio.sleep(0)
    source.put(b"x", b"y")
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    handed: list[Batch] = []
    await source.leftover(handed.append)
    assert [batch.payloads for batch in handed] == [[b"x", b"y"]]


async def test_a_stream_can_be_read_again_from_any_position() -> None:
    last_ids: dict[str, str] = {}
    stream = MemoryStream("stream:s", last_ids, clock=clock, replid="r1")
    await stream.connect()
    stream.add(b"1", b"2", b"3")
    assert last_ids == {"s": "3-0"}
    assert (await stream.read(START)).payloads == [b"1", b"2", b"3"]
    assert (await stream.read("2-0")).payloads == [b"3"]
    assert (await stream.read("2-0")).payloads == [b"3"]
    handed: list[Batch] = []
    await stream.leftover(handed.append)
    assert handed == []
    stream.ask_again()
    await stream.close()


@pytest.mark.parametrize("after", [START, "2-0"])
async def test_a_stream_at_its_end_says_so_after_a_while(after: str) -> None:
    stream = MemoryStream("stream:s", {})
    stream.add(*[b"x"] * int(after[0]))
    batch = await stream.read(after)
    assert batch.stream is not None
    assert (batch.payloads, batch.stream.last, batch.stream.complete) == ([], after, True)


async def test_a_ledger_takes_what_a_stream_gives() -> None:
    stream = MemoryStream("stream:s", {})
    stream.add(*[order()] * (BATCH + 5))
    ledger = owner()
    for _ in range(2):
        assert ledger.apply(await stream.read(ledger.position("s")), T0) == "ok"
    settle(ledger)
    assert shown(ledger) == BATCH + 5
    assert not ledger.aggregate.committed.total.tallies["missed"]
