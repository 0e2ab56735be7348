"""The values of checkpoint fields, and what is said of a damaged one."""

import msgspec
import pytest

from sidecar.core.fields import deflated, field, inflated, pack, reading
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
