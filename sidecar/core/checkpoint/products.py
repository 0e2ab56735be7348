"""Products in the checkpoint: in blocks, the names of a block in one field and its numbers in another.

A commit writes the numbers of every block that holds a product that changed, column by column, since the values of a
column resemble each other: that takes a fourth of what a field for each product takes. The names are written only
when a block gains one. A product keeps its place for life: the order in which products were first counted, which is
the order of the dict.
"""

from collections.abc import Mapping

import msgspec

from sidecar.core.checkpoint.codec import deflated, field, inflated, pack, reading
from sidecar.core.checkpoint.sections import decode
from sidecar.core.counts.parts import Product

# Products of a block. More take less when all change, and more when one does: 1.3 KB are written for that one.
SIZE = 64
NAMES, NUMBERS = "names", "products"
_PREFIXES = (field(NAMES, ""), field(NUMBERS, ""))
_decode_names = msgspec.msgpack.Decoder(list[str]).decode


def is_block(name: str) -> bool:
    """Return whether this is a field of a block."""
    return name.startswith(_PREFIXES)


def dump(changed: Mapping[str, Product], known: Mapping[str, Product]) -> dict[str, bytes]:
    """Return the fields of all blocks that change when `changed` is added to, or replaces parts of, `known`."""
    products = {**known, **changed}
    names = list(products)
    found = {}
    for block in sorted({place // SIZE for place, name in enumerate(names) if name in changed}):
        members = names[block * SIZE : (block + 1) * SIZE]
        if any(name not in known for name in members):
            found[field(NAMES, block)] = pack(members)
        found[field(NUMBERS, block)] = deflated(list(zip(*(products[name].dump() for name in members), strict=True)))
    return found


def load(fields: Mapping[str, bytes]) -> dict[str, Product]:
    """Return the products in their places. Raises CheckpointError if a block is damaged or lacking."""
    products: dict[str, Product] = {}
    for block in range(max(sum(name.startswith(prefix) for name in fields) for prefix in _PREFIXES)):
        with reading(field(NUMBERS, block)):
            members = _decode_names(fields[field(NAMES, block)])
            rows = zip(*decode(NUMBERS, inflated(fields[field(NUMBERS, block)])), strict=True)
            products.update((name, Product.load(row)) for name, row in zip(members, rows, strict=True))
            if len(members) > SIZE or len(products) != block * SIZE + len(members):
                raise ValueError("products are not in their places")
    return products
