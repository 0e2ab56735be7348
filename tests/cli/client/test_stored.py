"""What commands read, clear and announce in Redis without the daemon, on a store in memory."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from sidecar.cli.client import stored
from sidecar.config.structs import Config
from sidecar.core.checkpoint.state import load_state
from sidecar.core.counts.pending import RejectedEvent
from sidecar.core.counts.sale import Announcement, Sale
from sidecar.daemon import build
from sidecar.errors import CommandError, SidecarError, UnavailableError
from sidecar.store.memory import MemoryStore
from tests.ledgers import T0, commit, heard, new_ledger, order, take

CONFIG = Config()
NOTHING = "nothing is stored under 'flash_sale_metrics:'"


class Store(MemoryStore):
    """A store as commands use it: the next answers may be lost, and whoever owns it may commit what is announced."""

    def __init__(self) -> None:
        super().__init__(lease=60.0)
        self.failures: list[Exception] = []
        self.owned = self.heeds = False
        self.closed = 0
        self.payloads: list[RejectedEvent] = []

    async def exists(self) -> bool:
        return bool(self.fields)

    async def is_owned(self) -> bool:
        return self.owned

    async def clear(self, generation: str) -> bytes:
        cleared = await super().clear(generation)
        self._fail()
        return cleared

    async def clear_metric(self, name: str, id: str) -> bool:
        found = await super().clear_metric(name, id)
        self._fail()
        return found

    async def announce(self, said: Announcement) -> bool:
        there = await super().announce(said)
        self._fail()
        return there

    async def sale(self) -> tuple[Sale, str]:
        said = msgspec.json.decode(self.fields.get("said", b"null"), type=Announcement | None)
        if said is None:
            return Sale(), ""
        state = Sale(said.id, "running" if said.action == "start" else "ended", said.at, None, "command")
        return state, said.unique_id if self.heeds else ""

    async def rejected(self, limit: int) -> list[RejectedEvent]:
        return self.payloads[:limit]

    async def history(self, metric: str, start: int, end: int) -> dict[int, int]:
        return {start: 1} if metric == "throughput" else {}

    async def close(self) -> None:
        self.closed += 1

    def _fail(self) -> None:
        if self.failures:
            raise self.failures.pop(0)


class FakeLink:
    """A connection on which an owner commits at the second look."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.looks = 0

    async def call(self, command: str, *_: str) -> Any:
        if command == "EXISTS":
            return int(self.store.owned)
        self.looks += 1
        return b"%d" % self.looks


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    made = Store()
    link = FakeLink(made)

    @asynccontextmanager
    async def connected(*_: object, **__: object) -> AsyncIterator[FakeLink]:
        yield link

    monkeypatch.setattr(build, "store", lambda _: made)
    monkeypatch.setattr(stored, "connected", connected)
    monkeypatch.setattr(stored, "OWNER_SECONDS", 0.05)
    monkeypatch.setattr(stored, "POLL_SECONDS", 0.001)
    return made


@pytest.fixture
async def kept(store: Store) -> Store:
    """A store in which an order was counted."""
    ledger = new_ledger()
    await take(ledger, store)
    ledger.apply(heard(order()), T0)
    await commit(ledger, store)
    return store


async def test_where_nothing_is_stored_every_command_says_so(store: Store) -> None:
    for asked in (
        stored.read(CONFIG),
        stored.history(CONFIG, {}),
        stored.clear(CONFIG),
        stored.announce(CONFIG, "start", None),
        stored.rejected(CONFIG, 5),
    ):
        with pytest.raises(SidecarError, match=NOTHING):
            await asked
    assert store.closed == 5


async def test_what_is_committed_is_read(kept: Store) -> None:
    assert (await stored.read(CONFIG)).orders.total == 1


async def test_the_history_has_every_metric(kept: Store) -> None:
    found = await stored.history(CONFIG, {})
    assert found.keys() == {"throughput", "queue_length", "active_connections"}


@pytest.mark.parametrize("failures", [[], [UnavailableError("the answer was lost")]])
async def test_a_clear_reports_what_was_cleared_even_if_its_answer_was_lost(
    kept: Store, failures: list[Exception]
) -> None:
    kept.failures, kept.owned = failures, True
    assert (await stored.clear(CONFIG))["orders"]["success"] == 1
    assert (
        load_state({name: value for name, value in kept.fields.items() if name.startswith("c:")})
        .total.tallies["orders"]
        .total()
        == 0
    )


async def test_a_metric_is_cleared_even_if_the_answer_was_lost(kept: Store) -> None:
    kept.failures = [UnavailableError("the answer was lost")]
    await stored.clear_metric(CONFIG, "counted_total")
    assert not [name for name in kept.fields if name.startswith("c:custom:")]


async def test_a_metric_of_which_nothing_is_stored_is_an_error(kept: Store) -> None:
    with pytest.raises(SidecarError, match="nothing is stored of a custom metric 'counted'"):
        await stored.clear_metric(CONFIG, "counted")


async def test_a_clear_that_redis_rejects_is_not_tried_again(kept: Store) -> None:
    kept.failures = [CommandError("read-only"), AssertionError("again")]
    with pytest.raises(CommandError):
        await stored.clear(CONFIG)


async def test_a_sale_is_announced_and_its_commit_waited_for(kept: Store) -> None:
    kept.heeds, kept.failures = True, [UnavailableError("the answer was lost")]
    sale = await stored.announce(CONFIG, "start", "friday")
    assert sale is not None and (sale.id, sale.state) == ("friday", "running")


async def test_without_an_owner_an_announcement_waits_for_nobody(kept: Store) -> None:
    assert await stored.announce(CONFIG, "start", "friday") is None


async def test_an_owner_that_does_not_commit_is_an_error(kept: Store) -> None:
    kept.owned = True
    with pytest.raises(UnavailableError, match="has not committed"):
        await stored.announce(CONFIG, "start", "friday")


async def test_an_announcement_that_does_not_fit_is_not_made(kept: Store) -> None:
    with pytest.raises(SidecarError, match="there is no sale to stop"):
        await stored.announce(CONFIG, "stop", None)
    assert "said" not in kept.fields


async def test_rejected_payloads_are_as_many_as_asked_for(kept: Store) -> None:
    assert await stored.rejected(CONFIG, 5) == []
    kept.payloads = [RejectedEvent(T0, "pubsub:c", "not_json", "no JSON", "{")] * 3
    assert len(await stored.rejected(CONFIG, 2)) == 2
