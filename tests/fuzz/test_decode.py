"""Payloads of every kind of nonsense: nothing raises, and what is refused is what the oracle refuses."""

import json
from collections import Counter
from hashlib import sha256
from random import Random
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.checkpoint.state import load_state
from sidecar.core.commit.aggregator import Aggregator
from sidecar.core.counts.rules import Rules
from sidecar.core.counts.state import State
from sidecar.core.events.batch import Batch
from sidecar.core.events.decode import decode
from sidecar.core.events.event import Decoded, RejectionReason
from sidecar.core.snapshot.compute import compute
from tests.conftest import Guarantee
from tests.core.counted import content, context
from tests.fuzz.mutations import HERE, NAMES, TYPES, VALUES, corpus, payload
from tests.fuzz.oracle import Unknowable, Verdict, judge
from tests.guarantees import sizes

ARRIVAL = 1_790_000_000.0
SEEDS = corpus("events")
A_ROUND = 500


def outcome(decoded: Decoded) -> list[str]:
    """Return the reason of each event that was refused, "" of the others, in the order they came."""
    found: list[str] = []
    for rejection, place in zip(decoded.rejections, decoded.events_before, strict=True):
        found += [""] * (place - len(found) + sum(map(bool, found)))
        found.append(rejection.reason)
    return found + [""] * (len(decoded.events) + len(decoded.rejections) - len(found))


def agrees(found: list[str], expected: list[Verdict]) -> bool:
    """Tell whether every event is accepted, or refused for a reason there is."""
    if len(found) != len(expected):
        return False
    return all(reason in verdict if reason else not verdict for reason, verdict in zip(found, expected, strict=True))


def check(text: bytes) -> list[Verdict] | None:
    """Compare with the oracle; `None` where the contract does not say."""
    found = outcome(decode([text], [ARRIVAL]))
    try:
        expected = judge(text, ARRIVAL)
    except Unknowable:
        return None
    if not agrees(found, expected):
        keep(text)
        raise AssertionError(
            f"{text[:300]!r} is {found}, must be {list(map(sorted, expected))}; kept in tests/fuzz/failed"
        )
    return expected


def keep(text: bytes) -> None:
    """Keep an input that failed, to be run from now on."""
    (HERE / "failed" / f"events-{sha256(text).hexdigest()[:16]}").write_bytes(text)


@pytest.mark.parametrize("text", SEEDS)
def test_the_corpus_is_read_as_the_oracle_reads_it(text: bytes) -> None:
    assert check(text) is not None


def test_the_corpus_holds_events_that_are_accepted_and_every_reason_of_our_own_but_size() -> None:
    verdicts = [verdict for text in SEEDS for verdict in judge(text, ARRIVAL)]
    assert set().union(*verdicts) == set(get_args(RejectionReason)) - {"too_large", "unmapped"}  # no mapping here
    assert sum(not verdict for verdict in verdicts) > 10


events = st.dictionaries(
    st.sampled_from(NAMES), st.sampled_from(VALUES) | st.sampled_from(TYPES) | st.text() | st.integers() | st.floats()
)


@given(
    st.binary(max_size=100) | events.map(json.dumps).map(str.encode) | st.lists(events).map(json.dumps).map(str.encode)
)
def test_anything_is_read_as_the_oracle_reads_it(text: bytes) -> None:
    check(text)


@pytest.mark.parametrize("size", [1024 * 1024, 1024 * 1024 + 1])
def test_the_largest_payload(size: int) -> None:
    assert check(b'{"status":"success"}'.ljust(size)) is not None


@pytest.mark.parametrize("number", [10_000, 10_001])
def test_the_longest_batch(number: int) -> None:
    assert check(b"[" + b",".join([b'{"status":"Paid"}'] * number) + b"]") is not None


@pytest.mark.parametrize("deep", [b"[" * 100_000, b'{"a":' * 100_000, b'{"status":"success","x":' + b"[" * 100_000])
def test_depth_stops_nobody(deep: bytes) -> None:
    assert outcome(decode([deep], [ARRIVAL])) == ["not_json"]


def one_round(random: Random, number: int) -> Counter[str]:
    """Decode payloads one by one and together, count them, show them; return the verdicts."""
    texts = [payload(random, SEEDS) for _ in range(number)]
    verdicts = [check(text) for text in texts]
    one_by_one = [reason for text in texts for reason in outcome(decode([text], [ARRIVAL]))]
    assert outcome(decode(texts, [ARRIVAL] * number)) == one_by_one, "together they are read differently"
    # A repeated number counts nowhere, and numbers mean something only with a producer.
    known = [(text, verdict) for text, verdict in zip(texts, verdicts, strict=True) if verdict is not None]
    counted = [(text, verdict) for text, verdict in known if b"producer" not in text and b"\\u" not in text]
    refused = sum(bool(one) for _, verdict in counted for one in verdict)
    assert refused == count([text for text, _ in counted]).total.tallies["invalid"].total()
    count(texts)
    return Counter("refused" if one else "accepted" for _, verdict in known for one in verdict)


def count(texts: list[bytes]) -> State:
    """Count payloads as a source would hand them over, commit, store and show them."""
    aggregate = Aggregator(Rules(), Random(1))
    aggregate.apply(Batch(source="pubsub:x", payloads=texts, arrivals=[ARRIVAL] * len(texts)), ARRIVAL)
    aggregate.land(aggregate.freeze(ARRIVAL), ARRIVAL)
    fields = aggregate.fields()
    assert content(load_state(fields)) == content(aggregate.committed)
    compute(aggregate.committed, Rules(), context(ARRIVAL)).public()
    return aggregate.committed


@pytest.mark.parametrize("number", sizes(2_000, 100_000, 1_000_000))
def test_mutated_payloads_are_read_as_the_oracle_reads_them(number: int, seed: int, guarantee: Guarantee) -> None:
    seen: Counter[str] = Counter()
    for start in range(0, number, A_ROUND):
        seen += one_round(Random(f"{seed}-{start}"), A_ROUND)
    assert seen["accepted"] > number / 10 < seen["refused"]
    accepted, refused = seen["accepted"], seen["refused"]
    guarantee("G5", f"{number:,} payloads: {accepted:,} events accepted, {refused:,} refused, as by the oracle")
