"""What every Store promises: the store in Redis and the one in memory pass the same tests."""

from collections.abc import AsyncIterator
from typing import Any, Protocol

import msgspec
import pytest
import redis

from sidecar.core.checkpoint.state import load_state
from sidecar.core.commit.commit import Commit, CommitAnswer, Position
from sidecar.core.commit.ledger import Ledger
from sidecar.core.counts.sale import Announcement, Sale
from sidecar.errors import CheckpointError
from sidecar.redis.servers import Servers
from sidecar.redis.url import parse
from sidecar.store import Readers, Store
from sidecar.store.memory import MemoryStore
from sidecar.store.redis import RedisStore
from tests.conftest import StartRedis
from tests.ledgers import T0, commit, heard, new_ledger, order, read, send, shown, take

PREFIX = "shop:"
LEASE = 60.0


class Whole(Store, Readers, Protocol):
    """A store, and what its readers ask."""


class Ground(Protocol):
    """A store, and the ways in which the world around it changes."""

    @property
    def store(self) -> Whole:
        """The store."""

    @property
    def replid(self) -> str:
        """The history that streams are read under."""

    def add(self, stream: str) -> None:
        """Append an entry with the next id `n-0` to a stream."""

    def end_lease(self) -> None:
        """Let the lease run out."""

    def lose_checkpoint(self) -> None:
        """Delete the checkpoint."""

    def damage(self, field: str, value: bytes) -> None:
        """Overwrite a field of the checkpoint."""

    def damaged(self) -> dict[str, bytes]:
        """Return the checkpoint that was set aside."""

    def change_history(self) -> None:
        """Restart or replace the server: it has another replid."""

    def public(self) -> dict[str, object]:
        """Return the public keys without the prefix: integers and lists."""


class RealGround:
    """The store in a real Redis."""

    def __init__(self, start_redis: StartRedis) -> None:
        server = start_redis()
        self.client: redis.Redis = redis.Redis(port=server.port)
        self.store = RedisStore(Servers(parse(server.url)), PREFIX, lease=LEASE, keep_rejected=True)
        self._ids = 0

    async def close(self) -> None:
        await self.store.close()
        self.client.close()

    @property
    def replid(self) -> str:
        return str(self.client.info("replication")["master_replid"])

    def add(self, stream: str) -> None:
        self._ids += 1
        self.client.xadd(stream, {"e": order()}, id=f"{self._ids}-0")

    def end_lease(self) -> None:
        self.client.delete(PREFIX + "lease")

    def lose_checkpoint(self) -> None:
        self.client.delete(PREFIX + "checkpoint")

    def damage(self, field: str, value: bytes) -> None:
        self.client.hset(PREFIX + "checkpoint", field, value)

    def damaged(self) -> dict[str, bytes]:
        found: dict[Any, Any] = self.client.hgetall(PREFIX + "checkpoint:damaged")
        return {name.decode(): value for name, value in found.items()}

    def change_history(self) -> None:
        self.client.replicaof("127.0.0.1", 1)
        self.client.replicaof("NO", "ONE")

    def public(self) -> dict[str, object]:
        found: dict[str, object] = {}
        for name in self.client.scan_iter(PREFIX + "*"):
            key = name.decode().removeprefix(PREFIX)
            if key not in ("checkpoint", "lease"):
                is_list = self.client.type(name) == b"list"
                found[key] = self.client.lrange(name, 0, -1) if is_list else _value(self.client.get(name))
        return found


def _value(stored: Any) -> int | str:
    text: str = stored.decode()
    return int(text) if text.isdigit() else text


class MemoryGround:
    """The store in memory."""

    def __init__(self) -> None:
        self._now = 0.0
        self._last_ids: dict[str, str] = {}
        self.store = MemoryStore(lease=LEASE, clock=lambda: self._now, last_ids=self._last_ids)

    @property
    def replid(self) -> str:
        return self.store.replid

    def add(self, stream: str) -> None:
        self._last_ids[stream] = f"{int(self._last_ids.get(stream, '0-0').split('-')[0]) + 1}-0"

    def end_lease(self) -> None:
        self._now += LEASE

    def lose_checkpoint(self) -> None:
        self.store.fields.clear()

    def damage(self, field: str, value: bytes) -> None:
        self.store.fields[field] = value

    def damaged(self) -> dict[str, bytes]:
        return self.store.damaged

    def change_history(self) -> None:
        self.store.replid = "another"

    def public(self) -> dict[str, object]:
        return dict(self.store.public)


@pytest.fixture(params=["redis", "memory"])
async def ground(request: pytest.FixtureRequest) -> AsyncIterator[Ground]:
    if request.param == "memory":
        yield MemoryGround()
        return
    real = RealGround(request.getfixturevalue("start_redis"))
    yield real
    await real.close()


async def started(ground: Ground) -> Ledger:
    """Return the owner of a checkpoint in which one order of a stream and one of pub/sub are committed."""
    ledger = new_ledger()
    assert await take(ledger, ground.store)
    ground.add("s")
    ledger.apply(read(order(product_id="a"), replid=ground.replid), T0)
    ledger.apply(heard(order(product_id="b", producer="p", seq=1)), T0)
    assert await commit(ledger, ground.store) == "ok"
    return ledger


# Taking over


async def test_nothing_is_created_unasked(ground: Ground) -> None:
    taken = await ground.store.take("me", "me e r", dead="", create=False)
    assert (taken.fields, taken.owner) == (None, "")
    assert await ground.store.load() == {}


async def test_a_checkpoint_is_created_with_number_one(ground: Ground) -> None:
    taken = await ground.store.take("me", "me e r", dead="", create=True)
    assert taken.fields == {"n": b"1", "own": b"me e r", "gen": b""} == await ground.store.load()


async def test_a_lease_keeps_others_away_until_it_ends(ground: Ground) -> None:
    await ground.store.take("me", "me e r", dead="", create=True)
    refused = await ground.store.take("you", "you e r", dead="somebody", create=True)
    assert (refused.fields, refused.owner) == (None, "me")
    ground.end_lease()
    taken = await ground.store.take("you", "you e r", dead="", create=False)
    assert taken.fields is not None
    assert (taken.fields["n"], taken.fields["own"]) == (b"2", b"you e r")
    assert (await ground.store.take("me", "me e r2", dead="", create=False)).owner == "you"


@pytest.mark.parametrize(("owner", "dead"), [("me", ""), ("you", "me")])
async def test_a_lease_does_not_stop_its_owner_or_who_knows_it_dead(ground: Ground, owner: str, dead: str) -> None:
    await ground.store.take("me", "me e r", dead="", create=True)
    taken = await ground.store.take(owner, f"{owner} e r2", dead=dead, create=False)
    assert taken.fields is not None
    assert taken.fields["own"] == f"{owner} e r2".encode()


@pytest.mark.parametrize(("owner", "free"), [("me", True), ("you", False)])
async def test_a_lease_is_released_by_its_owner_alone(ground: Ground, owner: str, free: bool) -> None:
    await ground.store.take("me", "me e r", dead="", create=True)
    await ground.store.release(owner)
    assert ((await ground.store.take("next", "next e r", dead="", create=False)).fields is not None) is free


async def test_a_lost_checkpoint_is_not_created_anew_while_its_owner_lives(ground: Ground) -> None:
    await started(ground)
    ground.lose_checkpoint()
    assert not await take(new_ledger("there:2:b"), ground.store, create=True)


# A damaged checkpoint


async def test_a_damaged_checkpoint_is_set_aside_by_the_holder_of_the_lease_and_one_is_created(ground: Ground) -> None:
    await started(ground)
    ground.damage("c:totals:", b"?")
    found = await ground.store.load()
    assert await ground.store.set_aside("there:2:b") is None
    assert await ground.store.load() == found
    assert await ground.store.set_aside("here:1:a") is not None
    assert (await ground.store.load(), ground.damaged()) == ({}, found)
    taken = await ground.store.take("here:1:a", "here:1:a e r", dead="", create=True)
    assert taken.fields == {"n": b"1", "own": b"here:1:a e r", "gen": b""}
    ground.end_lease()
    assert await ground.store.set_aside("here:1:a") is None


async def test_the_first_damaged_checkpoint_is_kept(ground: Ground) -> None:
    kept = []
    for damage in (b"first", b"second"):
        await ground.store.take("me", "me e r", dead="", create=True)
        ground.damage("gen", damage)
        kept.append(await ground.store.set_aside("me"))
    assert [(one.key.rpartition("checkpoint")[2], one.dropped) for one in kept if one] == [
        (":damaged", False),
        (":damaged", True),
    ]
    assert ground.damaged()["gen"] == b"first"


async def test_a_number_that_is_none_is_found_by_who_takes_over_and_by_who_commits(ground: Ground) -> None:
    ledger = await started(ground)
    ground.damage("n", b"many")
    with pytest.raises(CheckpointError):
        await commit(ledger, ground.store)
    with pytest.raises(CheckpointError):
        await ground.store.take(ledger.owner, "here:1:a e r", dead="", create=False)
    assert await ground.store.set_aside(ledger.owner) is not None
    assert await commit(ledger, ground.store) == "empty"
    assert await commit(ledger, ground.store) == "ok"
    assert load_state(await ground.store.load()).total.tallies["orders"] == {"success": 2}


# Committing


async def test_a_commit_writes_counts_positions_and_its_token(ground: Ground) -> None:
    ledger = await started(ground)
    ledger.apply(heard(order(product_id="c")), T0)
    flight = ledger.freeze(T0)
    found = await send(ledger, ground.store, flight)
    assert found == CommitAnswer(
        outcome="OK", number=3, token=flight.token, generation="", replid=found.replid, stream=""
    )
    assert found.replid == ground.replid
    fields = await ground.store.load()
    assert (fields["n"], fields["own"], fields["gen"]) == (b"3", flight.token.encode(), b"")
    assert Position.load("s", fields["p:s"]) == Position("1-0", 1, 0, 1)
    assert fields["p:s"].startswith(b'["1-0",1,0,1,'), "JSON that ends with a checksum"
    assert load_state(fields).total.tallies["orders"] == {"success": 3}
    assert load_state(fields).products.keys() == {"a", "b", "c"}
    assert "w:pubsub:c\np" in fields


async def test_a_successor_goes_on_with_what_was_committed(ground: Ground) -> None:
    await started(ground)
    ground.end_lease()
    successor = new_ledger("there:2:b")
    assert await take(successor, ground.store)
    assert (shown(successor), successor.position("s")) == (2, "1-0")
    assert await commit(successor, ground.store) == "ok"


async def test_a_commit_renews_the_lease(ground: Ground) -> None:
    ledger = await started(ground)
    ground.end_lease()
    await commit(ledger, ground.store)
    assert not await take(new_ledger("there:2:b"), ground.store)


async def test_a_commit_that_is_sent_again_is_written_once(ground: Ground) -> None:
    ledger = await started(ground)
    ledger.apply(heard(order(), order()), T0)
    flight = ledger.freeze(T0)
    await send(ledger, ground.store, flight)
    before = await ground.store.load()
    again = await send(ledger, ground.store, flight)
    assert (again.outcome, again.token, again.number) == ("CONFLICT", flight.token, 3)
    assert ledger.resolve(flight, again, T0) == "ok"
    assert await ground.store.load() == before
    assert await commit(ledger, ground.store) == "ok"
    assert load_state(await ground.store.load()).total.tallies["orders"] == {"success": 4}


async def test_fields_that_nobody_needs_are_removed(ground: Ground) -> None:
    ledger = await started(ground)
    ledger.apply(heard(b'{"type":"connections","active":3,"producer":"p"}'), T0)
    await commit(ledger, ground.store)
    assert "c:connections:p" in await ground.store.load()
    await commit(ledger, ground.store, T0 + 100)
    assert "c:connections:p" not in await ground.store.load()


async def test_a_full_commit_replaces_the_checkpoint(ground: Ground) -> None:
    ledger = await started(ground)
    expected = await ground.store.load()
    ground.lose_checkpoint()
    assert await commit(ledger, ground.store) == "empty"
    flight = ledger.freeze(T0)
    assert await commit(ledger, ground.store) == "ok"
    fields = await ground.store.load()
    assert (fields.pop("n"), fields.pop("own")) == (b"1", flight.token.encode())
    assert fields == {name: value for name, value in expected.items() if name not in ("n", "own")}


async def test_a_full_commit_leaves_nothing_that_it_does_not_write(ground: Ground) -> None:
    ledger = await started(ground)
    flight = msgspec.structs.replace(ledger.freeze(T0), full=True)
    fields = {"c:totals:": b"\x90"}
    assert (await ground.store.commit(flight, fields, ledger.aggregate.committed, T0)).outcome == "OK"
    assert (await ground.store.load()).keys() == {"n", "own", "gen", "p:s", "c:totals:"}


# Refusing: before anything is written


async def conflicted(ground: Ground) -> tuple[Ledger, Commit]:
    ledger = await started(ground)
    ground.end_lease()
    await take(new_ledger("there:2:b"), ground.store)
    return ledger, ledger.freeze(T0)


async def number_alone(ground: Ground) -> tuple[Ledger, Commit]:
    ledger = await started(ground)
    return ledger, msgspec.structs.replace(ledger.freeze(T0), number=7)


async def token_alone(ground: Ground) -> tuple[Ledger, Commit]:
    ledger = await started(ground)
    return ledger, msgspec.structs.replace(ledger.freeze(T0), expected="here:1:a another token")


async def found_where_none_was_expected(ground: Ground) -> tuple[Ledger, Commit]:
    ledger = await started(ground)
    return ledger, msgspec.structs.replace(ledger.freeze(T0), number=0, expected="")


async def emptied(ground: Ground) -> tuple[Ledger, Commit]:
    ledger = await started(ground)
    ground.lose_checkpoint()
    return ledger, ledger.freeze(T0)


async def emptied_and_cleared(ground: Ground) -> tuple[Ledger, Commit]:
    ledger = await started(ground)
    ground.lose_checkpoint()
    await ground.store.clear("g")
    return ledger, ledger.freeze(T0)


async def cleared(ground: Ground) -> tuple[Ledger, Commit]:
    ledger = await started(ground)
    await ground.store.clear("g")
    return ledger, ledger.freeze(T0)


async def replaced(ground: Ground) -> tuple[Ledger, Commit]:
    ledger = await started(ground)
    ground.add("s")
    ledger.apply(read(order(), after="1-0", replid=ground.replid), T0)
    ground.change_history()
    return ledger, ledger.freeze(T0)


async def recreated(ground: Ground) -> tuple[Ledger, Commit]:
    ledger = await started(ground)
    ledger.apply(read(order(), after="1-0", replid=ground.replid), T0)  # 2-0 was never added
    return ledger, ledger.freeze(T0)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (conflicted, CommitAnswer(outcome="CONFLICT", number=3, token="there:2:b b1 b2", generation="", replid="")),
        (number_alone, CommitAnswer(outcome="CONFLICT", number=2, token="here:1:a a3 a4", generation="", replid="")),
        (token_alone, CommitAnswer(outcome="CONFLICT", number=2, token="here:1:a a3 a4", generation="", replid="")),
        (
            found_where_none_was_expected,
            CommitAnswer(outcome="CONFLICT", number=2, token="here:1:a a3 a4", generation="", replid=""),
        ),
        (emptied, CommitAnswer(outcome="EMPTY", number=0, token="", generation="", replid="")),
        (emptied_and_cleared, CommitAnswer(outcome="EMPTY", number=0, token="", generation="g", replid="")),
        (cleared, CommitAnswer(outcome="CLEARED", number=2, token="here:1:a a3 a4", generation="g", replid="")),
        (replaced, CommitAnswer(outcome="REREAD", number=2, token="here:1:a a3 a4", generation="", replid="")),
        (
            recreated,
            CommitAnswer(outcome="RESET", number=2, token="here:1:a a3 a4", generation="", replid="", stream="s"),
        ),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
async def test_a_refused_commit_tells_what_was_found_and_writes_nothing(
    ground: Ground, change: object, expected: CommitAnswer
) -> None:
    ledger, flight = await change(ground)  # type: ignore[operator]
    before = await ground.store.load(), ground.public()
    found = await send(ledger, ground.store, flight)
    assert found == msgspec.structs.replace(expected, replid=ground.replid)
    assert (await ground.store.load(), ground.public()) == before


async def test_history_matters_only_while_entries_of_streams_are_uncommitted(ground: Ground) -> None:
    ledger = await started(ground)
    ground.change_history()
    ledger.apply(heard(order()), T0)
    assert await commit(ledger, ground.store) == "ok"


async def test_a_stream_that_never_existed_stops_nobody(ground: Ground) -> None:
    ledger = new_ledger(streams=("s", "never"))
    await take(ledger, ground.store)
    absent = read(stream="never", exists=False, added=None, length=0, replid=ground.replid)
    assert ledger.apply(absent, T0) == "ok"
    assert await commit(ledger, ground.store) == "ok"
    assert Position.load("never", (await ground.store.load())["p:never"]) == Position(base=0)


# Clearing


async def test_a_clear_empties_counts_and_keeps_positions_and_windows(ground: Ground) -> None:
    ledger = await started(ground)
    before = await ground.store.load()
    assert await ground.store.clear("g") == before["c:totals:"]
    fields = await ground.store.load()
    kept = {name for name in before if not name.startswith("c:")}
    assert fields.keys() == kept | {"cleared", "cleared_at"}
    assert {name: fields[name] for name in kept - {"gen"}} == {name: before[name] for name in kept - {"gen"}}
    assert fields["gen"] == b"g"
    assert ground.public() == {}
    assert await commit(ledger, ground.store) == "cleared"


async def test_the_same_clear_again_returns_the_same_and_clears_nothing(ground: Ground) -> None:
    ledger = await started(ground)
    first = await ground.store.clear("g")
    await commit(ledger, ground.store)
    ledger.apply(heard(order()), T0)
    await commit(ledger, ground.store)
    assert await ground.store.clear("g") == first
    assert load_state(await ground.store.load()).total.tallies["orders"] == {"success": 1}
    assert ground.public()["order_status:success"] == 1


async def test_a_full_commit_after_a_clear_keeps_its_generation(ground: Ground) -> None:
    ledger = await started(ground)
    await ground.store.clear("g")
    ground.lose_checkpoint()
    await commit(ledger, ground.store)
    assert await commit(ledger, ground.store) == "ok"
    assert shown(ledger) == 2  # the clear is lost with the checkpoint: nobody knows of it
    assert (await ground.store.load())["gen"] == b""


async def test_a_clear_of_a_metric_deletes_its_series_and_its_key_and_nothing_else(ground: Ground) -> None:
    ledger = await started(ground)
    before, public, orders = await ground.store.load(), ground.public(), shown(ledger)
    assert await ground.store.clear_metric("counted_total", "1")
    fields = await ground.store.load()
    assert {name for name in before if name.startswith("c:custom:counted_total\n")} == before.keys() - fields.keys()
    assert {name for name in fields if fields[name] != before[name]} == {"gen"}
    assert public.keys() - ground.public().keys() == {"custom:counted_total"}
    assert await commit(ledger, ground.store) == "cleared"
    assert await commit(ledger, ground.store) == "ok"
    assert load_state(await ground.store.load()).custom == {}
    assert shown(ledger) == orders


async def test_the_same_clear_of_a_metric_again_clears_nothing_and_the_next_one_does(ground: Ground) -> None:
    ledger = await started(ground)
    await ground.store.clear_metric("counted_total", "1")
    await commit(ledger, ground.store)
    ledger.apply(heard(order()), T0)
    await commit(ledger, ground.store)
    assert await ground.store.clear_metric("counted_total", "1")
    assert len(load_state(await ground.store.load()).custom) == 1
    assert await ground.store.clear_metric("counted_total", "2")
    assert load_state(await ground.store.load()).custom == {}
    assert (await ground.store.load())["gen"] == b" counted_total=2"


@pytest.mark.parametrize("name", ["", "counted", "counted_total\n", ".*"])
async def test_a_metric_of_which_nothing_is_stored_cannot_be_cleared(name: str, ground: Ground) -> None:
    await started(ground)
    before = await ground.store.load()
    assert not await ground.store.clear_metric(name, "1")
    assert await ground.store.load() == before


async def test_nothing_can_be_cleared_too(ground: Ground) -> None:
    assert await ground.store.clear("g") == b""
    assert not await take(new_ledger(), ground.store, create=False)
    ledger = new_ledger()
    assert await take(ledger, ground.store)
    assert ledger.generation == "g"


async def test_what_is_said_of_a_sale_is_heard_with_the_next_commit_and_by_the_next_owner(ground: Ground) -> None:
    said = Announcement(action="start", id="drop", at=T0, by="http", unique_id="w")
    assert not await ground.store.announce(said), "nobody ever counted here"
    ledger = await started(ground)
    assert await ground.store.announce(said)
    await commit(ledger, ground.store)
    await commit(ledger, ground.store)
    sale = Sale("drop", "running", T0, None, "http")
    assert ledger.aggregate.committed.total.sale == sale
    assert ground.public()["sale:current"] == msgspec.json.encode(sale).decode()
    await ground.store.announce(Announcement(action="stop", at=T0 + 5, by="command", unique_id="v"))
    after = new_ledger("next")
    await ground.store.release(ledger.owner)
    assert await take(after, ground.store)
    await commit(after, ground.store)
    assert after.aggregate.committed.total.sale.ended_by == "command"


# Public keys


async def test_the_public_keys_follow_the_commits(ground: Ground) -> None:
    ledger = new_ledger()
    await take(ledger, ground.store)
    ledger.apply(heard(order(5, processing_ms=2.5), order(6), b"?"), T0)
    await commit(ledger, ground.store)
    ledger.apply(heard(order(7), b'{"type":"inventory","product_id":"a","stock":9}'), T0)
    await commit(ledger, ground.store)
    public = ground.public()
    assert public["order_latency"] == [b"7", b"6", b"5"]
    assert public["processing_time"] == [b"2.5"]
    assert (public["order_status:success"], public["order_status:failed"]) == (3, 0)
    assert (public["inventory:a"], public[f"throughput:{T0:.0f}"]) == (9, 3)
    refused = public["rejected"]
    assert isinstance(refused, list)
    assert [msgspec.json.decode(entry)["reason"] for entry in refused] == ["not_json"]
