"""The values of checkpoint fields, and what is said of a damaged one."""

import zlib

import msgspec
import pytest

from sidecar.core.checkpoint.codec import LARGEST_BYTES, deflated, field, inflated, pack, reading
from sidecar.errors import CheckpointError


def test_a_field_is_named_by_its_section_and_key() -> None:
    assert field("queues", "a:b") == "c:queues:a:b"


def test_what_repeats_itself_is_deflated() -> None:
    content = [list(range(100)), list(range(100))]
    assert msgspec.msgpack.decode(inflated(deflated(content))) == content
    assert len(deflated(content)) < len(pack(content)) * 0.75


def test_damage_is_named_by_its_field() -> None:
    with pytest.raises(CheckpointError, match="c:queues:a"), reading("c:queues:a"):
        inflated(b"not deflated")


@pytest.mark.parametrize("value", [zlib.compress(bytes(2 * LARGEST_BYTES)), deflated([1])[:-1], deflated([1]) + b"x"])
def test_a_bomb_or_what_does_not_end_is_not_inflated(value: bytes) -> None:
    with pytest.raises(CheckpointError, match="too large"), reading("c:timings:x"):
        inflated(value)
