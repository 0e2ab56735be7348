"""The fields of a checkpoint, damaged in every way there is: refused as a whole, and nothing but refused."""

import zlib
from collections.abc import Mapping
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.checkpoint.codec import seal, unseal
from sidecar.core.checkpoint.state import dump_state, load_state
from sidecar.core.commit.commit import Position
from sidecar.core.commit.ledger import Ledger
from sidecar.core.counts.queue_read import QueueReading
from sidecar.core.counts.slo_alert import SloAlert, SloPart
from sidecar.core.counts.state import State
from sidecar.core.snapshot.compute import compute
from sidecar.errors import CheckpointError
from tests.core.counted import content, context
from tests.ledgers import RULES, T0, heard, new_ledger, order, owner, read, settle


def real() -> dict[str, bytes]:
    """Return a checkpoint with every kind of field."""
    ledger = owner()
    ledger.apply(
        read(order(3, product_id="a", amount="9.99"), b'{"type":"queue","waiting":4}', order(producer="q", seq=9)), T0
    )
    ledger.apply(
        heard(
            order(40, product_id="b", producer="p", epoch=1, seq=1),
            order(producer="p", epoch=1, seq=5),
            b'{"status":"pending"}',
            b'{"status":"failed","reason":"sold_out","latency_ms":7,"order_id":"o1"}',
            b'{"status":"paid","order_id":"o2"}',
            b'{"type":"inventory","product_id":"a","stock":93}',
            b'{"type":"connections","producer":"p","active":12}',
            b'{"type":"page_view"}',
            *[b'{"type":"heartbeat","producer":"p","epoch":1,"seq":5}'] * 3,
            b"no JSON",
        ),
        T0,
    )
    ledger.aggregate.following.hear('{"action":"start","id":"drop","at":1.0,"by":"command","unique_id":"w"}')
    ledger.aggregate.read({"jobs": QueueReading(at=T0, waiting=2, oldest_waiting_s=0.5, paused=False)})
    commit = settle(ledger)
    ledger.aggregate.committed.slos["orders"] = SloPart(SloAlert(T0, T0))
    positions = {f"p:{stream}": position.dump(stream) for stream, position in commit.positions.items()}
    return {**ledger.aggregate.fields(), **positions, "n": b"7", "own": b"here:1:a era word", "gen": b"cafe"}


REAL = real()
OWN = ("n", "own", "gen")  # written by every commit, and compared by the scripts: they have no checksum
PARTS = sorted(REAL.keys() - OWN)
ALONE = {name: REAL[name] for name in OWN}  # a field beside these loads as fast as it can
names = st.sampled_from(PARTS)


def is_deflated(name: str) -> bool:
    """Tell whether a field is stored deflated."""
    return name.startswith(("c:timings:", "c:slices", "c:products:", "c:sales:", "c:phase_counts:"))


def sealed(name: str, packed: bytes) -> bytes:
    """Return a field as who knows the code would store it."""
    return seal(name, zlib.compress(packed) if is_deflated(name) else packed)


def load(fields: Mapping[str, bytes]) -> Ledger | None:
    """Take over a checkpoint; `None` if it is refused, and then nothing of it is there."""
    ledger = new_ledger()
    try:
        ledger.take_over(fields, T0)
    except CheckpointError:
        assert not ledger.active
        assert content(ledger.aggregate.committed) == content(State())
        assert (ledger.aggregate.register.windows, ledger.position("s"), ledger.generation) == ({}, "0-0", "")
        return None
    return ledger


def check_loaded(ledger: Ledger | None) -> None:
    """What was loaded can be shown and goes on, and dumps to an equal state."""
    if ledger is None:
        return
    state = ledger.aggregate.committed
    again = load_state(dump_state(state))
    assert content(again) == content(state)
    compute(state, RULES, context(T0)).public()
    ledger.apply(heard(order(product_id="a", producer="p", seq=6)), T0)
    settle(ledger)


def test_a_real_checkpoint_holds_a_field_of_every_kind_and_loads() -> None:
    kinds = {name.split(":")[1] if name.startswith("c:") else name[:2] for name in PARTS}
    assert kinds == {*dict(State().sections()), "names", "w:", "p:"}
    ledger = load(REAL)
    assert ledger is not None
    mine = {name: value for name, value in REAL.items() if name[:2] in ("c:", "w:")}
    assert ledger.aggregate.fields() == mine
    check_loaded(ledger)


@pytest.mark.parametrize("name", PARTS)
def test_any_flipped_bit_of_a_field_is_found(name: str) -> None:
    for at in range(8 * len(REAL[name])):
        damaged = bytearray(REAL[name])
        damaged[at // 8] ^= 1 << at % 8
        assert load({**ALONE, name: bytes(damaged)}) is None, f"bit {at}"


@pytest.mark.parametrize("name", PARTS)
def test_any_truncated_field_is_found(name: str) -> None:
    for size in range(len(REAL[name])):
        assert load({**ALONE, name: REAL[name][:size]}) is None, f"{size} bytes"


@given(names, names)
def test_swapped_fields_are_found(one: str, other: str) -> None:
    loaded = load({**REAL, one: REAL[other], other: REAL[one]})
    assert (loaded is not None) == (one == other)


@given(names, st.binary(max_size=200))
def test_bytes_that_nobody_wrote_are_found(name: str, value: bytes) -> None:
    assert load({**REAL, name: value}) is None


@given(st.sampled_from(OWN), st.binary(max_size=30))
def test_number_owner_and_generation_may_be_anything(name: str, value: bytes) -> None:
    check_loaded(load({**REAL, name: value}))


@given(st.text(max_size=20), st.sampled_from(["c:", "w:", "p:", ""]), st.binary(max_size=50))
def test_fields_of_other_names_are_refused_or_passed_over(name: str, kind: str, value: bytes) -> None:
    loaded = load({**REAL, kind + name: value})
    assert (loaded is None) == (kind != "" or name[:2] in ("c:", "w:", "p:") or kind + name in OWN) or name in OWN
    check_loaded(loaded)


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=5) | st.binary(),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


@given(names, values)
def test_content_of_another_form_is_refused_or_loads_whole(name: str, value: object) -> None:
    """As if a later version, or somebody with its code at hand, had written it: the checksum is right."""
    check_loaded(load({**REAL, name: sealed(name, msgspec.msgpack.encode(value))}))


@given(names, st.integers(0, 2**32))
def test_content_that_was_changed_and_sealed_again_is_refused_or_loads_whole(name: str, seed: int) -> None:
    if name.startswith("p:"):
        return
    random = Random(seed)
    data = bytearray(unseal(name, REAL[name]))
    if is_deflated(name):
        data = bytearray(zlib.decompress(data))
    for _ in range(random.randint(1, 3)):
        at = random.randrange(len(data) + 1)
        data[at : at + random.randint(0, 2)] = random.randbytes(random.randint(0, 2))
    check_loaded(load({**REAL, name: sealed(name, bytes(data))}))


@pytest.mark.parametrize(
    "stored", [b"", b"{", b"[]", b'["5-0",5,0,5]', b'["5",5,0,5,1]', b"[" * 5000, b'["\xff",5,0,5,1]']
)
def test_a_position_of_another_form_is_refused(stored: bytes) -> None:
    with pytest.raises(CheckpointError, match="'s'"):
        Position.load("s", stored)


@pytest.mark.parametrize("away", [False, True])
def test_a_position_is_stored_with_whether_its_stream_is_missing(away: bool) -> None:
    position = Position("5-1", 5, 0, 6, away)
    assert Position.load("s", position.dump("s")) == position
    with pytest.raises(CheckpointError, match="checksum"):
        Position.load("s", position.dump("s").replace(b"5-1", b"6-1"))


def test_a_position_is_of_one_stream() -> None:
    stored = Position("5-1", 5, 0, 6).dump("s")
    assert Position.load("s", stored) == Position("5-1", 5, 0, 6)
    with pytest.raises(CheckpointError, match="checksum"):
        Position.load("another", stored)
