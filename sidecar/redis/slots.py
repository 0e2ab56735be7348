"""The slots of Redis Cluster: which one a key hashes to, and which node owns it."""

import binascii
import re
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from sidecar.core.events.source import raw_key

SLOTS = 16384

Address = tuple[str, int]


class SlotMap(Struct, frozen=True):
    """What one node knows: the master of each range of slots (first, last, address), and all nodes.

    `epoch` grows with every change of the Cluster: the map with the higher one is newer.
    """

    epoch: int = -1
    ranges: tuple[tuple[int, int, Address], ...] = ()
    nodes: frozenset[Address] = frozenset()

    def owner(self, slot: int) -> Address | None:
        """Return the master that owns a slot, `None` if none does."""
        return next((master for first, last, master in self.ranges if first <= slot <= last), None)


def hash_tag(key: str) -> str:
    """Return the part of a key between `{` and `}`, which Redis Cluster hashes instead of the key; "" without one."""
    found = re.search(r"\{([^}]*)\}", key)
    return found[1] if found else ""


def slot_of(key: str) -> int:
    """Return the slot of a key, or of the stream with this name."""
    hashed = raw_key(hash_tag(key) or key)
    return binascii.crc_hqx(hashed.encode() if isinstance(hashed, str) else hashed, 0) % SLOTS


def read_slots(reply: Sequence[Any], epoch: int, asked: Address) -> SlotMap:
    """Read the reply of CLUSTER SLOTS; a node that does not know its own address is at `asked`."""
    ranges = []
    nodes = set()
    for first, last, *members in reply:
        addresses = [(_host(member[0]) or asked[0], int(member[1])) for member in members]
        nodes.update(addresses)
        ranges.append((first, last, addresses[0]))
    return SlotMap(epoch, tuple(ranges), frozenset(nodes))


def _host(name: bytes | None) -> str:
    """Return a host, "" if Redis leaves it out (or says `?`): it is the one that was asked."""
    text = (name or b"").decode()
    return "" if text == "?" else text
