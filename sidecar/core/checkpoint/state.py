"""State -> entries of the checkpoint, and back.

A part is the entry `c:<section>:<key>`; products are in the blocks of products.py.
"""

import re
from collections.abc import Mapping

from sidecar.core.checkpoint import products
from sidecar.core.checkpoint.codec import COUNTS, deflated, field, inflated, pack, reading, seal, unseal
from sidecar.core.checkpoint.sections import SECTIONS, decode, section_and_key
from sidecar.core.counts.state import State
from sidecar.errors import CheckpointError

CLEARED_AT = "cleared_at"  # entry of the checkpoint: when it was last cleared, in Unix seconds


def dump_state(state: State, committed: State | None = None) -> dict[str, bytes]:
    """Return every part as an entry of the checkpoint; products with the rest of their block in `committed`."""
    found = products.dump(state.products, committed.products if committed else {})
    for name, parts in state.sections():
        if name != products.NUMBERS:
            encode = deflated if SECTIONS[name].deflated else pack
            found.update((field(name, key), encode(part.dump())) for key, part in parts.items())
    return {name: seal(name, value) for name, value in found.items()}


def load_state(fields: Mapping[str, bytes]) -> State:
    """Return the counts of a checkpoint, empty after a clear without a commit since.

    Raises CheckpointError if an entry is damaged.
    """
    state = State()
    counts = {name: unseal(name, value) for name, value in fields.items() if name.startswith(COUNTS)}
    state.products = products.load(counts)
    for name, value in counts.items():
        if not products.is_block(name):
            with reading(name):
                section, key = section_and_key(name)
                stored = SECTIONS[section]
                part = stored.part.load(decode(section, inflated(value) if stored.deflated else value))
                getattr(state, section)[key] = part
    cleared_at = _moment(fields[CLEARED_AT]) if CLEARED_AT in fields else None
    if state.total.committed_at is None:
        state.total.since = state.total.committed_at = cleared_at
    state.total.write_off()  # version 0.1.0 stored negative numbers in flight
    return state


def _moment(text: bytes) -> float:
    """Return the time of a clear."""
    if not re.fullmatch(rb"[0-9]{1,12}(\.[0-9]{1,9})?", text):
        raise CheckpointError(f"checkpoint field {CLEARED_AT!r} is damaged")
    return float(text)
