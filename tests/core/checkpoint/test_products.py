"""Products in blocks: a commit writes the blocks that change, and all blocks together are all products."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.checkpoint import products as blocks
from sidecar.core.checkpoint.codec import deflated
from sidecar.core.checkpoint.products import SIZE
from sidecar.core.counts.parts import Product
from sidecar.errors import CheckpointError

T0 = 1_790_000_000


def product(number: int) -> Product:
    part = Product()
    part.success = number
    if number % 2:
        part.depletion.sell(number, T0)
        part.restock(-number, T0 + number / 8)
    return part


def products(*numbers: int) -> dict[str, Product]:
    return {f"p{number}": product(number) for number in numbers}


def rows(found: dict[str, Product]) -> list[tuple[str, object]]:
    """Return names and content in their order."""
    return [(name, part.dump()) for name, part in found.items()]


@pytest.mark.parametrize("count", [0, 1, SIZE, SIZE + 1, 3 * SIZE])
def test_products_load_in_their_places(count: int) -> None:
    known = products(*range(count))
    fields = blocks.dump(known, {})
    assert len(fields) == 2 * -(-count // SIZE)
    assert all(map(blocks.is_block, fields))
    assert rows(blocks.load(dict(reversed(fields.items())))) == rows(known)


def test_a_change_writes_its_block_without_the_names() -> None:
    known = products(*range(3 * SIZE))
    changed = {f"p{SIZE}": product(7)}
    assert blocks.dump(changed, known).keys() == {"c:products:1"}


def test_a_new_product_writes_the_names_of_its_block() -> None:
    known = products(*range(SIZE + 1))
    assert blocks.dump(products(99), known).keys() == {"c:names:1", "c:products:1"}
    assert msgspec.msgpack.decode(blocks.dump(products(99), known)["c:names:1"]) == [f"p{SIZE}", "p99"]


@given(st.lists(st.sets(st.integers(0, 3 * SIZE), max_size=SIZE + 5), max_size=8))
def test_what_changes_add_up_to_is_the_whole(commits: list[set[int]]) -> None:
    known: dict[str, Product] = {}
    stored: dict[str, bytes] = {}
    for number, changed in enumerate(commits):
        delta = {f"p{name}": product(name + number) for name in changed}
        stored.update(blocks.dump(delta, known))
        known.update(delta)
    assert stored == blocks.dump(known, {})
    assert rows(blocks.load(stored)) == rows(known)


def test_many_products_that_change_take_few_bytes_each() -> None:
    known = products(*range(1000, 2000))
    assert sum(map(len, blocks.dump(known, known).values())) < 20 * len(known)


WHOLE = blocks.dump(products(*range(2 * SIZE)), {})
OTHERS = blocks.dump(products(*range(SIZE + 1)), {})


@pytest.mark.parametrize(
    "damage",
    [
        {"c:names:0": None},
        {"c:products:1": None},
        {"c:names:0": None, "c:products:0": None},
        {"c:products:0": b""},
        {"c:products:0": WHOLE["c:products:0"][:-1]},
        {"c:products:0": deflated(7)},
        {"c:products:0": deflated([])},
        {"c:products:0": deflated([[0] * SIZE] * 12)},
        {"c:products:1": OTHERS["c:products:1"]},
        {"c:names:1": OTHERS["c:names:1"]},
        {"c:names:0": WHOLE["c:names:1"]},
        {"c:names:0": msgspec.msgpack.encode([1] * SIZE)},
        {"c:names:0": b"\xc1"},
        {"c:products:p": b""},
        {"c:names:2": b""},
        {"c:names:0": OTHERS["c:names:1"], "c:products:0": OTHERS["c:products:1"]},
        {
            "c:names:1": msgspec.msgpack.encode([f"q{number}" for number in range(SIZE + 1)]),
            "c:products:1": deflated(list(zip(*[product(1).dump()] * (SIZE + 1), strict=True))),
        },
    ],
)
def test_blocks_that_are_damaged_or_lacking_are_refused(damage: dict[str, bytes | None]) -> None:
    found = {name: value for name, value in {**WHOLE, **damage}.items() if value is not None}
    with pytest.raises(CheckpointError):
        blocks.load(found)
