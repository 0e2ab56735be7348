"""A file of gzip members: all that is whole is read, and what is not is told."""

import io
import zlib
from random import Random

import pytest

from sidecar.recording import members as module
from sidecar.recording.members import PIECE_BYTES, DamagedMember, members

TEXTS = [Random(number).randbytes(5000).hex().encode() for number in range(5)]
PACKED = [zlib.compress(text, 1, wbits=31) for text in TEXTS]
LARGE = bytes(range(256)) * 1000


def read(data: bytes) -> tuple[list[bytes], str]:
    """Return the members, and what is wrong with the rest."""
    found: list[bytes] = []
    try:
        found.extend(members(io.BytesIO(data)))
    except DamagedMember as exc:
        return found, str(exc)
    return found, ""


def changed(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


# Each is a trap of gzip, zlib or zcat: they skip what is lost, return half a member, or nothing at all.
@pytest.mark.parametrize(
    ("data", "whole", "problem"),
    [
        (b"".join(PACKED), 5, ""),
        (b"", 0, ""),
        (b"".join(PACKED)[: -len(PACKED[-1]) // 2], 4, "is cut"),
        (b"".join(PACKED)[:-1], 4, "is cut"),
        (PACKED[0] + PACKED[1][:5], 1, "is cut"),
        (b"".join(PACKED[:4]) + bytes(len(PACKED[4])), 4, "is damaged"),
        (PACKED[0] + bytes(50) + PACKED[1], 1, "is damaged"),
        (b"".join(PACKED) + b"torn" * 10, 5, "is damaged"),
        (PACKED[0] + changed(PACKED[1], len(PACKED[1]) // 2) + PACKED[2], 1, "is damaged"),
        (PACKED[0] + changed(PACKED[1], len(PACKED[1]) - 6) + PACKED[2], 1, "is damaged"),
        (b"no gzip", 0, "is damaged"),
    ],
)
def test_all_before_the_first_damage_is_read_whole(data: bytes, whole: int, problem: str) -> None:
    found, told = read(data)
    assert found == TEXTS[:whole]
    assert problem in told and bool(problem) == bool(told)
    if told:
        assert f"byte {sum(map(len, PACKED[:whole]))} " in told


def test_a_member_may_be_larger_than_a_piece_and_a_piece_may_have_many() -> None:
    stored = zlib.compress(LARGE, 0, wbits=31)
    small = zlib.compress(b"x", 1, wbits=31)
    assert len(stored) > 3 * PIECE_BYTES
    assert read(stored + small * 5000 + stored) == ([LARGE, *[b"x"] * 5000, LARGE], "")


def test_it_is_read_in_pieces_since_reading_what_is_left_over_again_is_quadratic() -> None:
    class File(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            assert size == PIECE_BYTES
            return super().read(size)

    assert len(list(members(File(PACKED[0] * 300)))) == 300


def test_a_member_that_unpacks_without_end_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST_BYTES", 1 << 20)
    bomb = zlib.compress(bytes(1 << 22), 9, wbits=31)
    found, told = read(PACKED[0] + bomb)
    assert (len(found), "more than 1048576 bytes" in told) == (1, True)
