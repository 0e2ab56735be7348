"""The position in a stream as it is stored, and what a token and an entry id say."""

from zlib import crc32

import msgspec
import pytest

from sidecar.core.commit.commit import Position, era_of, order, owner_of
from sidecar.errors import CheckpointError

POSITION = Position("5-1", seen=7, base=2, added=9)


@pytest.mark.parametrize("position", [Position(), POSITION, msgspec.structs.replace(POSITION, away=True)])
def test_a_position_is_loaded_as_it_was_dumped(position: Position) -> None:
    assert Position.load("s", position.dump("s")) == position


def test_a_position_is_stored_with_a_checksum_over_it_and_the_name_of_its_stream() -> None:
    assert POSITION.dump("s") == b'["5-1",7,2,9,%d]' % crc32(b'["s","5-1",7,2,9]')


def test_a_position_of_before_0_2_is_loaded() -> None:
    stored = msgspec.json.decode(POSITION.dump("s"))
    assert len(stored) == 5
    assert not Position.load("s", msgspec.json.encode(stored)).away


@pytest.mark.parametrize("place", range(1, 4))
def test_a_changed_number_is_damage(place: int) -> None:
    stored = msgspec.json.decode(POSITION.dump("s"))
    stored[place] += 1
    with pytest.raises(CheckpointError, match="damaged"):
        Position.load("s", msgspec.json.encode(stored))


def test_a_changed_absence_is_damage() -> None:
    stored = msgspec.json.decode(POSITION.dump("s"))
    with pytest.raises(CheckpointError, match="damaged"):
        Position.load("s", msgspec.json.encode([*stored, True]))


def test_the_position_of_another_stream_is_damage() -> None:
    with pytest.raises(CheckpointError, match="'t'"):
        Position.load("t", POSITION.dump("s"))


@pytest.mark.parametrize("stored", [b"", b"{}", b"\xff", b"[" * 5000, b'["no id",1,1,1,1]', b'["1-1",1,1,1,1,true,1]'])
def test_what_is_no_position_cannot_be_read(stored: bytes) -> None:
    with pytest.raises(CheckpointError, match="cannot be read"):
        Position.load("s", stored)


def test_entry_ids_compare_by_their_numbers() -> None:
    assert order("9-1") < order("10-0") < order("10-1")


def test_a_token_names_its_owner_and_its_era() -> None:
    assert owner_of("host:1:a era random") == "host:1:a"
    assert era_of("host:1:a era random") == "era"
    assert era_of("host:1:a") == ""
