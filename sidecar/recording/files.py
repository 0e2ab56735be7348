"""Files of a recording -> rows."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from sidecar.core.journal.rows import JournalRow, RecordingHeader, rows
from sidecar.errors import SidecarError
from sidecar.recording.members import DamagedMember, members

SUFFIX = ".fsr.gz"


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


def _rows(path: Path, found: Iterator[bytes]) -> Iterator[tuple[RecordingHeader | JournalRow, list[bytes]]]:
    for number, content in enumerate(found):
        if number == 0 and not content.startswith(b"{"):
            raise SidecarError(f"{path} is no recording: it does not begin with a header")
        try:
            yield from rows(content)
        except ValueError as exc:
            raise SidecarError(f"{path} is no recording that this version can read: {exc}") from exc
