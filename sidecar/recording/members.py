"""Reading a file of gzip members.

Each member is checked and returned whole, or not at all. The gzip module skips zeros between members, and raises, or
returns half a member, at a cut one; so this uses zlib. It is fed in pieces: what a decompressor has left over of its
input is a copy, which makes reading many members from one buffer quadratic.
"""

import zlib
from collections.abc import Iterator
from typing import BinaryIO

from sidecar.errors import SidecarError

PIECE_BYTES = 64 << 10
LARGEST_BYTES = 1 << 30  # of one member; ours have 4 MB, or one batch
GZIP = 31  # wbits: a gzip header, and the checksum at the end


class DamagedMember(SidecarError):
    """The rest of a file cannot be read: it was cut, or damaged."""


def members(file: BinaryIO) -> Iterator[bytes]:
    """Yield the content of each member. Raises DamagedMember at the first that is not whole."""
    begins, at, rest = 0, 0, b""
    while piece := rest or file.read(PIECE_BYTES):
        at += 0 if rest else len(piece)
        member, content, size = zlib.decompressobj(wbits=GZIP), [], 0
        while piece:
            try:
                content.append(member.decompress(piece))
            except zlib.error as exc:
                raise DamagedMember(f"the member at byte {begins} is damaged ({exc})") from exc
            size += len(content[-1])
            if size > LARGEST_BYTES:
                raise DamagedMember(f"the member at byte {begins} has more than {LARGEST_BYTES} bytes")
            if member.eof:
                break
            piece = file.read(PIECE_BYTES)
            at += len(piece)
        if not member.eof:
            raise DamagedMember(f"the member at byte {begins} is cut: the file ends in it")
        rest = member.unused_data
        begins = at - len(rest)
        yield b"".join(content)
