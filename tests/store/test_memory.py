"""The store in memory by itself; what it has in common with the one in Redis is in test_store.py."""

import msgspec
import pytest

from sidecar.core.counts.sale import Announcement
from sidecar.errors import CheckpointError
from sidecar.store.memory import MemoryStore
from tests.ledgers import T0, commit, heard, new_ledger, order, read, send, take

LEASE = 60.0


class Ground:
    """A store whose time is moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.last_ids: dict[str, str] = {}
        self.store = MemoryStore(lease=LEASE, clock=lambda: self.now, last_ids=self.last_ids)


@pytest.fixture
def ground() -> Ground:
    return Ground()


async def test_a_lease_is_renewed_by_every_commit_and_runs_out_by_the_given_clock(ground: Ground) -> None:
    first, second = new_ledger("here:1:a"), new_ledger("there:2:b")
    assert await take(first, ground.store)
    ground.now += LEASE - 1
    assert await commit(first, ground.store) == "ok"
    ground.now += LEASE - 1
    assert not await take(second, ground.store)
    ground.now += 1
    assert await take(second, ground.store)
    assert await commit(first, ground.store) == "standby"


async def test_the_lease_of_a_dead_owner_is_nobody_s(ground: Ground) -> None:
    await take(new_ledger("here:1:a"), ground.store)
    assert await take(new_ledger("here:2:b"), ground.store, dead="here:1:a")


async def test_an_owner_that_is_not_the_newest_releases_nothing(ground: Ground) -> None:
    owner = new_ledger("here:1:a")
    await take(owner, ground.store)
    await ground.store.release("there:2:b")
    assert not await take(new_ledger("there:2:b"), ground.store)
    await ground.store.release(owner.owner)
    assert await take(new_ledger("there:2:b"), ground.store)


async def test_a_commit_writes_the_keys_that_a_backend_reads(ground: Ground) -> None:
    ledger = new_ledger()
    await take(ledger, ground.store)
    ledger.apply(heard(order(), order(), b"no JSON"), T0)
    assert await commit(ledger, ground.store) == "ok"
    assert ground.store.public["order_status:success"] == 2
    assert len(ground.store.public["rejected"]) == 1  # type: ignore[arg-type]
    await ground.store.clear("g")
    assert ground.store.public == {}


async def test_what_is_loaded_is_a_copy(ground: Ground) -> None:
    await take(new_ledger(), ground.store)
    (await ground.store.load()).clear()
    assert ground.store.fields


async def test_a_position_ahead_of_its_stream_is_a_reset(ground: Ground) -> None:
    ledger = new_ledger()
    await take(ledger, ground.store)
    ground.last_ids["s"] = "2-0"
    ground.store.replid = "r1"
    ledger.apply(read(order(), order()), T0)
    ground.last_ids["s"] = "1-0"
    assert await commit(ledger, ground.store) == "reset"


async def test_a_damaged_state_is_set_aside_by_its_owner_alone_and_the_first_one_kept(ground: Ground) -> None:
    ledger = new_ledger()
    await take(ledger, ground.store)
    ground.store.fields["n"] = b"nonsense"
    with pytest.raises(CheckpointError):
        await commit(ledger, ground.store)
    assert await ground.store.set_aside("there:2:b") is None
    aside = await ground.store.set_aside(ledger.owner)
    assert aside is not None and not aside.dropped
    ground.store.fields["n"] = b"other"
    again = await ground.store.set_aside(ledger.owner)
    assert again is not None and again.dropped
    assert ground.store.damaged["n"] == b"nonsense"


async def test_nothing_is_announced_where_nothing_is_stored(ground: Ground) -> None:
    said = Announcement(action="start", at=T0, by="http", unique_id="u")
    assert not await ground.store.announce(said)
    await take(new_ledger(), ground.store)
    assert await ground.store.announce(said)


async def test_a_clear_is_answered_again_with_the_same(ground: Ground) -> None:
    ledger = new_ledger()
    await take(ledger, ground.store)
    ledger.apply(heard(order()), T0)
    await commit(ledger, ground.store)
    cleared = await ground.store.clear("g")
    assert cleared
    assert await ground.store.clear("g") == cleared


async def test_after_a_clear_a_commit_that_does_not_know_of_it_changes_nothing(ground: Ground) -> None:
    ledger = new_ledger()
    await take(ledger, ground.store)
    ledger.apply(heard(order()), T0)
    await ground.store.clear("g")
    assert await commit(ledger, ground.store) == "cleared"
    assert await commit(ledger, ground.store) == "ok"
    assert ground.store.public["order_status:success"] == 1


async def test_what_was_announced_outlives_a_commit_of_everything(ground: Ground) -> None:
    ledger = new_ledger()
    await take(ledger, ground.store)
    await ground.store.announce(Announcement(action="start", at=T0, by="http", unique_id="u"))
    flight = msgspec.structs.replace(ledger.freeze(T0), full=True)
    await send(ledger, ground.store, flight)
    assert b'"u"' in ground.store.fields["said"]
