"""Rows of a recording as they are written and read."""

import pytest
from msgspec.structs import replace

from sidecar.core.events.batch import Batch, Empty
from sidecar.core.journal.rows import BatchRow, MemberRow, batch_of, encode, encode_batch, rows
from tests.journals import header
from tests.ledgers import T0, heard, read

PATTERN = Batch(source="pubsub:c*", payloads=[b"1", b"2"], arrivals=[T0, T0], channels=[b"c1", b"\xff"])


@pytest.mark.parametrize(
    "batch",
    [
        heard(b"{}", b"a\nb\n", b"", b"\xff"),
        replace(heard(b"{}", b"{}"), arrivals=[T0, T0 + 1e-7]),
        replace(read(b"{}", after="0-0", empty=1), empty=[Empty("2-0", [b"\xff", b"x"])]),
        read(),
        PATTERN,
    ],
)
def test_a_batch_is_read_as_it_was(batch: Batch) -> None:
    (first, got), (second, _) = rows(encode_batch(batch, T0 + 0.1) + encode(MemberRow(2)))
    assert isinstance(first, BatchRow)
    assert (batch_of(first, got), first.now, second) == (batch, T0 + 0.1, MemberRow(2))


def test_payloads_are_lines_of_their_own() -> None:
    assert b'\n{"status":"success"}\n' in encode_batch(heard(b'{"status":"success"}'), T0)


def test_the_header_says_how_to_count() -> None:
    ((found, payloads),) = rows(encode(header()))
    assert (found, payloads) == (header(), [])


@pytest.mark.parametrize(
    "content",
    [
        b"[1]\n",
        b'["z",1]\n',
        b'["m",1]',
        b'["p",1.0,"pubsub:c",1.0,1,5]\n12\n',
        b'["p",1.0,"pubsub:c",1.0,2,3]\n12\n',
        b'["p",1.0,"pubsub:c",1.0,2,3,[-1,9]]\n12\n',
        b'["p",1.0,"pubsub:c",1.0,1,-3]\n12\n',
        b'{"format":"another"}\n',
        encode(replace(header(), version=2)),
    ],
)
def test_what_is_no_row_is_an_error(content: bytes) -> None:
    with pytest.raises(ValueError, match="."):
        list(rows(content))
