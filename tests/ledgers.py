"""Ledgers, batches and answers for tests of the commit."""

from collections.abc import Mapping
from itertools import count
from random import Random

import msgspec

from sidecar.core.commit.aggregator import Aggregator
from sidecar.core.commit.commit import Commit, CommitAnswer, CommitOutcome
from sidecar.core.commit.ledger import CommitVerdict, Ledger
from sidecar.core.counts.custom_definition import CustomMetric
from sidecar.core.counts.rules import Rules
from sidecar.core.events.batch import Batch, Empty, StreamRead
from sidecar.store import Store

T0 = 1_790_000_000.0
RULES = Rules(custom_metrics=(CustomMetric(name="counted_total", type="counter", labels={"status": "status"}),))


def new_ledger(
    owner: str = "here:1:a", streams: tuple[str, ...] = ("s",), seed: int = 0, *, apart: bool = False
) -> Ledger:
    """Return a ledger that stands by; its random ids are numbered."""
    numbers = count(1)
    return Ledger(
        owner=owner,
        streams=streams,
        random_id=lambda: f"{owner[-1]}{next(numbers)}",
        fresh=lambda: Aggregator(RULES, Random(seed)),
        apart=apart,
    )


def owner(
    fields: Mapping[str, bytes] | None = None, *, streams: tuple[str, ...] = ("s",), apart: bool = False
) -> Ledger:
    """Return a ledger that took over a checkpoint: an empty one, and `fields`."""
    ledger = new_ledger(streams=streams, apart=apart)
    ledger.take_over({"n": b"1", "own": ledger.next_token().encode(), "gen": b"", **(fields or {})}, T0)
    return ledger


def order(latency_ms: float = 1.0, **fields: object) -> bytes:
    """Return the payload of a successful order."""
    return msgspec.json.encode({"status": "success", "latency_ms": latency_ms, **fields})


def heard(*payloads: bytes, channel: str = "c", at: float = T0) -> Batch:
    """Return a batch of pub/sub messages."""
    return Batch(source=f"pubsub:{channel}", payloads=list(payloads), arrivals=[at] * len(payloads))


def read(
    *payloads: bytes,
    after: str = "0-0",
    last: str | None = None,
    stream: str = "s",
    replid: str = "r1",
    added: int | None = -1,
    length: int | None = None,
    complete: bool = True,
    exists: bool = True,
    empty: int = 0,
    oldest: str | None = None,
    newest: str | None = None,
) -> Batch:
    """Return a batch of stream entries; ids count up from `after`, and by default all that was added is there."""
    start = int(after.split("-")[0])
    end = start + len(payloads) + empty
    there = end if length is None else length
    first = f"{start + 1}-0" if end - start >= there else "1-0"
    facts = StreamRead(
        after=after,
        last=last or f"{end}-0",
        replid=replid,
        entries=len(payloads) + empty,
        added=end if added == -1 else added,
        length=there,
        complete=complete,
        exists=exists,
        oldest=oldest or (first if there and exists else None),
        newest=newest or (last or f"{end}-0" if exists else None),
    )
    arrivals = [T0] * len(payloads)
    lacking = [Empty(f"{end - n}-0", []) for n in range(empty)]
    return Batch(source=f"stream:{stream}", payloads=list(payloads), arrivals=arrivals, empty=lacking, stream=facts)


def answer(
    outcome: CommitOutcome,
    number: int = 0,
    token: str = "",
    *,
    generation: str = "",
    replid: str = "r1",
    stream: str = "",
) -> CommitAnswer:
    """Return what the script says it found."""
    return CommitAnswer(
        outcome=outcome, number=number, token=token, generation=generation, replid=replid, stream=stream
    )


def landed(commit: Commit) -> CommitAnswer:
    """Return the answer to a commit that was written."""
    return answer("OK", commit.number + 1, commit.token, generation=commit.generation)


def settle(ledger: Ledger, now: float = T0) -> Commit:
    """Commit what is pending, with success, and return the commit."""
    commit = ledger.freeze(now)
    assert ledger.resolve(commit, landed(commit), now) == "ok"
    return commit


async def commit(ledger: Ledger, store: Store, now: float = T0) -> CommitVerdict:
    """Send what is pending, or in flight, to a store, and let the ledger take the answer."""
    flight = ledger.freeze(now)
    answer = await send(ledger, store, flight, now)
    return ledger.resolve(flight, answer, now)


async def send(ledger: Ledger, store: Store, flight: Commit, now: float = T0) -> CommitAnswer:
    """Send a flight and return the answer, which the ledger does not get to know."""
    return await store.commit(flight, ledger.fields(flight), ledger.aggregate.committed, now)


async def take(ledger: Ledger, store: Store, *, create: bool = True, dead: str = "", now: float = T0) -> bool:
    """Try to become the owner."""
    taken = await store.take(ledger.owner, ledger.next_token(), dead=dead, create=create)
    if taken.fields is not None:
        ledger.take_over(taken.fields, now)
    return taken.fields is not None


def shown(ledger: Ledger) -> int:
    """Return the successful orders that are committed."""
    return ledger.aggregate.committed.total.tallies["orders"]["success"]
