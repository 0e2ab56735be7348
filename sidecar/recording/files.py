"""Files of a recording -> rows."""

import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from sidecar.core.counts.rules import Rules
from sidecar.core.journal.rows import JournalRow, MemberRow, RecordingHeader, encode, rows
from sidecar.errors import SidecarError
from sidecar.recording.members import GZIP, DamagedMember, members

SUFFIX = ".fsr.gz"
MEMBER_BYTES = 4 << 20
LEVEL = 1  # 6 takes twice the time for a fifth less


def read(
    paths: Iterable[Path], damaged: Callable[[str], None]
) -> Iterator[tuple[RecordingHeader | JournalRow, list[bytes]]]:
    """Yield all rows, each with its payloads; `damaged` is told what is missing of a file, once its rest is left out.

    Raises SidecarError for a file that is no recording.
    """
    for path in paths:
        try:
            with path.open("rb") as file:
                yield from _rows(path, members(file))
        except DamagedMember as exc:
            damaged(f"{path.name}: {exc}; what comes before it is used")


class RecordingFile:
    """A new file of a recording, written as fast as rows come: the Journal of a Ledger."""

    due = False

    def __init__(self, path: Path, header: RecordingHeader) -> None:
        """Create the file, which only its owner may read. Raises OSError if there is one of this name."""
        self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        self._rows = [encode(header)]
        self._bytes = self._member = 0

    def begin(self, rules: Rules, row: bytes) -> None:
        """Take the first row."""
        self._rows += [encode(MemberRow(self._member)), row]

    def tell(self, row: bytes, events: int = 0) -> None:
        """Take a row."""
        self._rows.append(row)
        self._bytes += len(row)
        if self._bytes >= MEMBER_BYTES:
            self._write()
            self._rows, self._bytes = [encode(MemberRow(self._member))], 0

    def flush(self) -> None:
        """Wait: a member is written when there is enough."""

    def close(self) -> None:
        """Write what waits."""
        self._write()
        self._file.close()

    def _write(self) -> None:
        self._file.write(zlib.compress(b"".join(self._rows), LEVEL, GZIP))
        self._member += 1


def _rows(path: Path, found: Iterator[bytes]) -> Iterator[tuple[RecordingHeader | JournalRow, list[bytes]]]:
    for number, content in enumerate(found):
        if number == 0 and not content.startswith(b"{"):
            raise SidecarError(f"{path} is no recording: it does not begin with a header")
        try:
            yield from rows(content)
        except ValueError as exc:
            raise SidecarError(f"{path} is no recording that this version can read: {exc}") from exc
