"""The recorder: takes rows from the loop, and writes them in a thread of its own.

Rows wait in a bounded queue. Every interval, and when 4 MB wait, the thread compresses what there is into one gzip
member, writes it and syncs it, so that a crash loses what waits and nothing else. What the recorder cannot take, it
drops and counts; it never makes the loop wait.
"""

import errno
import os
import re
import time
import zlib
from collections import deque
from collections.abc import Callable
from math import inf
from pathlib import Path
from threading import Event, Thread

from msgspec import Struct

from sidecar.core.counts.rules import Rules
from sidecar.core.journal.rows import GapRow, MemberRow, RecordingHeader, encode
from sidecar.recording.files import LEVEL, MEMBER_BYTES, SUFFIX
from sidecar.recording.members import GZIP

WAITING_BYTES = 64 << 20
SEGMENT_BYTES = 64 << 20
SEGMENT_SECONDS = 300.0
SEGMENTS = 8  # a smaller `max_bytes` than that many gets smaller segments

sync = getattr(os, "fdatasync", os.fsync)  # macOS has only fsync


class Recorded(Struct):
    """What was recorded since the start of the process."""

    written: int = 0  # events
    dropped: int = 0  # events
    bytes: int = 0


class _Told(Struct, frozen=True):
    """A row that waits; with a `header` it begins a segment."""

    row: bytes
    events: int
    header: bytes = b""


class Recorder:
    """Writes one run of a recording: the Journal of a Ledger."""

    def __init__(
        self,
        directory: Path,
        *,
        header: Callable[[Rules], RecordingHeader],
        name: str,
        max_bytes: int,
        interval: float,
        recorded: Recorded,
    ) -> None:
        """Open nothing before the first row. `name` is the first part of the names of files, without `/`.

        The oldest files of that name are deleted before there are more than `max_bytes` in all.
        """
        self.due = True
        self.problem = ""  # why it stopped
        self.file = ""  # the name of the present one
        self.dropped_at = -inf  # by the steady clock
        self._directory = directory
        self._header = header
        self._name = name
        self._max_bytes = max_bytes
        self._segment_bytes = min(SEGMENT_BYTES, max_bytes // SEGMENTS)
        self._interval = interval
        self._recorded = recorded
        self._begun = False
        self._told: deque[_Told] = deque()
        self._taken = 0  # bytes, counted by the loop
        self._passed = 0  # bytes, counted by the thread
        self._gap: int | None = None  # events that were dropped since the last row
        self._wake = Event()
        self._closing = False
        self._member = 0
        self._file = -1
        self._path: Path | None = None
        self._good = 0  # bytes of the file: whole members
        self._opened_at = 0.0
        self._ends = False  # whether another segment is due
        self._thread = Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    def begin(self, rules: Rules, row: bytes) -> None:
        """Begin a segment with this row."""
        self.due, self._begun = False, True
        self._take(_Told(row, 0, encode(self._header(rules))))

    def tell(self, row: bytes, events: int = 0) -> None:
        """Take a row; drop it if too much waits, or before the first segment begins."""
        if self._begun:
            self._take(_Told(row, events))

    def flush(self) -> None:
        """Write soon."""
        self._wake.set()

    def end(self) -> None:
        """Write what waits, and end; nothing is told any more."""
        self._closing = True
        self._wake.set()

    def join(self) -> None:
        """Wait until it has ended."""
        self._thread.join()

    def _take(self, told: _Told) -> None:
        if self.problem:
            self._recorded.dropped += told.events
            return
        waiting = self._taken - self._passed + len(told.row)
        if waiting > WAITING_BYTES:
            self._recorded.dropped += told.events
            self.dropped_at = time.monotonic()
            self._gap = (self._gap or 0) + told.events
            self.due = True
            return
        if self._gap is not None:
            gap, self._gap = GapRow(self._gap, "the disk is too slow"), None
            self._told.append(_Told(encode(gap), 0))
        self._taken += len(told.row)
        self._told.append(told)
        if waiting > MEMBER_BYTES and not self._wake.is_set():
            self._wake.set()

    # The thread

    def _run(self) -> None:
        while not self._closing:
            self._wake.wait(self._interval)
            self._wake.clear()
            self._write_waiting()
        self._write_waiting()  # what came before it was closed
        self._close_file()

    def _write_waiting(self) -> None:
        while self._told:
            rows: list[bytes] = []
            header, events, size = self._told[0].header, 0, 0
            while self._told and size < MEMBER_BYTES and not (rows and self._told[0].header):
                told = self._told.popleft()
                rows.append(told.row)
                events, size = events + told.events, size + len(told.row)
            if not self.problem:
                try:
                    self._write(header, b"".join([header, encode(MemberRow(self._member)), *rows]))
                    self._recorded.written += events
                except OSError as exc:
                    self.problem = f"stopped: {exc.strerror}: {self._directory}"
                    self._close_file()
            if self.problem:
                self._recorded.dropped += events
            self._passed += size

    def _write(self, header: bytes, content: bytes) -> None:
        """Append a member whole; with a header to a new file. Raises OSError, and leaves the file as it was."""
        if header:
            self._open()
        member = zlib.compress(content, LEVEL, GZIP)
        if self._good + len(member) > self._segment_bytes:  # no commit has ended the segment yet
            self._make_room(len(member))
        view = memoryview(member)
        try:
            while view:
                view = view[os.write(self._file, view) :]
            sync(self._file)
        except OSError:
            os.ftruncate(self._file, self._good)
            raise
        self._member += 1
        self._good += len(member)
        self._recorded.bytes += len(member)
        full = self._good >= self._segment_bytes or time.monotonic() - self._opened_at >= SEGMENT_SECONDS
        if full and not self._ends:
            self._ends = self.due = True

    def _open(self) -> None:
        """Begin the next file."""
        self._close_file()
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path, self._good = None, 0
        self._make_room(self._segment_bytes)
        now = time.time()
        moment = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime(now))}.{int(now * 1000) % 1000:03d}Z"
        self._path = self._directory / f"{self._name}-{moment}{SUFFIX}"
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self.file, self._opened_at, self._ends = self._path.name, time.monotonic(), False

    def _make_room(self, needed: int) -> None:
        """Delete the oldest files until `needed` more bytes are allowed. Raises OSError if there are none left."""
        ours = re.compile(re.escape(self._name) + r"-\d{8}T\d{6}\.\d{3}Z" + re.escape(SUFFIX))
        found = sorted(path for path in self._directory.iterdir() if ours.fullmatch(path.name))
        sizes = {path: path.stat().st_size for path in found}
        while sum(sizes.values()) + needed > self._max_bytes:
            oldest = next((path for path in sizes if path != self._path), None)
            if oldest is None:
                raise OSError(errno.ENOSPC, "no commit has ended this segment, and it is as large as all may be")
            oldest.unlink()
            del sizes[oldest]

    def _close_file(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
