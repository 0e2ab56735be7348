"""Products in the checkpoint: in blocks, with the names of a block in one entry and its numbers in another.

A commit writes the numbers of every block with a changed product, column by column, since the values of a column are
similar: this takes a quarter of the size of one entry per product. It writes the names only when a block gains one. A
product never changes its block: products are in the order in which they were first counted, which is that of the dict.
"""

from collections.abc import Mapping

import msgspec

from sidecar.core.checkpoint.codec import deflated, field, inflated, pack, reading
from sidecar.core.checkpoint.sections import decode
from sidecar.core.counts.parts import Product

# Products per block. Larger blocks are smaller in all, but cost more when one product changes: now 1.3 KB.
SIZE = 64
NAMES, NUMBERS = "names", "products"
_PREFIXES = (field(NAMES, ""), field(NUMBERS, ""))
_decode_names = msgspec.msgpack.Decoder(list[str]).decode


def is_block(name: str) -> bool:
    """Return whether this is an entry of a block."""
    return name.startswith(_PREFIXES)


def dump(changed: Mapping[str, Product], known: Mapping[str, Product]) -> dict[str, bytes]:
    """Return the entries of all blocks that change when `changed` is added to `known`, or replaces parts of it."""
    products = {**known, **changed}
    names = list(products)
    found = {}
    for block in sorted({index // SIZE for index, name in enumerate(names) if name in changed}):
        members = names[block * SIZE : (block + 1) * SIZE]
        if any(name not in known for name in members):
            found[field(NAMES, block)] = pack(members)
        found[field(NUMBERS, block)] = deflated(list(zip(*(products[name].dump() for name in members), strict=True)))
    return found


def load(fields: Mapping[str, bytes]) -> dict[str, Product]:
    """Return the products in order. Raises CheckpointError if a block is damaged or missing."""
    products: dict[str, Product] = {}
    for block in range(max(sum(name.startswith(prefix) for name in fields) for prefix in _PREFIXES)):
        with reading(field(NUMBERS, block)):
            members = _decode_names(fields[field(NAMES, block)])
            columns = decode(NUMBERS, inflated(fields[field(NUMBERS, block)]))
            rows = zip(*(column for column in columns if column is not None), strict=True)
            products.update((name, Product.load(row)) for name, row in zip(members, rows, strict=True))
            if len(members) > SIZE or len(products) != block * SIZE + len(members):
                raise ValueError("products are not in order")
    return products
