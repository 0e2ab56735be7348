"""The recorder writes every row in order, and neither a full nor a slow disk stops what it records."""

import errno
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from sidecar.core.journal.rows import BlindRow, GapRow, JournalRow, MemberRow, RecordingHeader, TakeOverRow, encode
from sidecar.errors import SidecarError
from sidecar.recording import recorder as module
from sidecar.recording.files import read
from sidecar.recording.recorder import Recorded, Recorder
from tests.journals import header
from tests.ledgers import RULES
from tests.waiting import wait_until

BEGIN = encode(TakeOverRow(1.0, {}))


class Desk:
    """A recorder, what it recorded, and its directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.recorded = Recorded()
        self.recorder = self.start()

    def start(self, max_bytes: int = 1 << 30) -> Recorder:
        self.recorder = Recorder(
            self.directory,
            header=lambda rules: header(rules),
            name="shop-1",
            max_bytes=max_bytes,
            interval=0.005,
            recorded=self.recorded,
        )
        return self.recorder

    def write(self, *numbers: int) -> None:
        """Tell rows of one event each, and wait until they are written, or dropped."""
        before = self.recorded.written + self.recorded.dropped
        for number in numbers:
            self.recorder.tell(encode(BlindRow(number)), 1)
        done = before + len(numbers)
        wait_until(lambda: self.recorded.written + self.recorded.dropped == done, 5, "the rows to be written")

    def end(self) -> list[RecordingHeader | JournalRow]:
        """End, and return all rows that can be read."""
        self.recorder.end()
        self.recorder.join()
        self.told: list[str] = []
        return [row for row, _ in read(self.files, self.told.append)]

    @property
    def files(self) -> list[Path]:
        return sorted(self.directory.iterdir()) if self.directory.exists() else []


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    found = Desk(tmp_path / "recordings" / "here")
    yield found
    found.recorder.end()
    found.recorder.join()


def test_rows_are_in_members_with_numbers_and_only_the_owner_may_read_them(desk: Desk) -> None:
    first = desk.recorder.due
    desk.recorder.tell(encode(BlindRow(9)), 1)  # before it begins
    desk.recorder.begin(RULES, BEGIN)
    assert (first, desk.recorder.due) == (True, False), "the next commit of a daemon that already counts begins it"
    desk.write(1, 2)
    desk.write(3)
    desk.recorder.tell(encode(BlindRow(4)), 1)
    desk.recorder.flush()
    found = desk.end()
    assert found[:3] == [header(), MemberRow(0), TakeOverRow(1.0, {})]
    assert [row for row in found if isinstance(row, BlindRow)] == [BlindRow(n) for n in (1, 2, 3, 4)]
    members = [row.number for row in found if isinstance(row, MemberRow)]
    assert members == list(range(len(members)))
    assert (desk.recorded.written, desk.recorded.dropped) == (4, 0)
    assert desk.recorded.bytes == desk.files[0].stat().st_size
    assert desk.recorder.file == desk.files[0].name
    assert (desk.files[0].stat().st_mode & 0o777, desk.directory.stat().st_mode & 0o777) == (0o600, 0o700)


def test_a_segment_ends_when_it_is_full_and_the_oldest_is_deleted_before_there_is_too_much(desk: Desk) -> None:
    (desk.directory).mkdir(parents=True)
    other = desk.directory / "shop-10-20260101T000000.000Z.fsr.gz"
    other.write_bytes(bytes(5000))
    desk.start(max_bytes=4000)
    for number in range(30):
        if desk.recorder.due:
            desk.recorder.begin(RULES, BEGIN)
        desk.write(number)
    found = desk.end()
    sizes = [file.stat().st_size for file in desk.files if file != other]
    assert len(sizes) > 1 and sum(sizes) <= 4000
    assert BlindRow(29) in found and BlindRow(0) not in found
    assert other.exists(), "what another sidecar recorded is not ours to delete"


def test_what_no_commit_ends_stops_at_the_limit(desk: Desk) -> None:
    desk.start(max_bytes=1200)
    desk.recorder.begin(RULES, BEGIN)
    for number in range(40):
        desk.write(number)
    assert "no commit has ended this segment" in desk.recorder.problem
    assert desk.files[0].stat().st_size <= 1200


def test_a_full_disk_stops_it_and_leaves_a_file_of_whole_members(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.recorder.begin(RULES, BEGIN)
    desk.write(1)
    sizes = []

    def full(file: int, data: Any) -> int:
        sizes.append(len(data))
        if len(sizes) == 1:
            return real(file, data[:10])  # the first part fits
        raise OSError(errno.ENOSPC, "No space left on device")

    real = os.write
    monkeypatch.setattr(os, "write", full)
    desk.write(2)
    desk.write(3)
    monkeypatch.undo()
    found = desk.end()
    assert desk.recorder.problem == f"stopped: No space left on device: {desk.directory}"
    assert (desk.told, sizes[1]) == ([], sizes[0] - 10)
    assert [row for row in found if isinstance(row, BlindRow)] == [BlindRow(1)]
    assert (desk.recorded.written, desk.recorded.dropped) == (1, 2)


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    desk = Desk(tmp_path / "file" / "here")
    desk.recorder.begin(RULES, BEGIN)
    desk.write(1)
    desk.recorder.end()
    desk.recorder.join()
    assert "Not a directory" in desk.recorder.problem


def test_a_slow_disk_loses_rows_and_not_memory_and_the_next_commit_begins_anew(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck, free = Event(), Event()

    def slow(_: int) -> None:
        stuck.set()
        free.wait(5)

    monkeypatch.setattr(module, "sync", slow)
    monkeypatch.setattr(module, "WAITING_BYTES", 1000)
    desk.recorder.begin(RULES, BEGIN)
    assert stuck.wait(5)
    for number in range(200):
        desk.recorder.tell(encode(BlindRow(number)), 1)
    assert 50 < desk.recorded.dropped < 200
    assert desk.recorder.due and desk.recorder.dropped_at > 0
    dropped = desk.recorded.dropped
    free.set()
    wait_until(lambda: desk.recorded.written + dropped == 200, 5, "the rest to be written")
    desk.write(1000)
    found = desk.end()
    assert found[-2:] == [GapRow(dropped, "the disk is too slow"), BlindRow(1000)]


def test_a_large_backlog_is_written_in_several_members(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MEMBER_BYTES", 50)
    desk.recorder.begin(RULES, BEGIN)
    desk.write(*range(20))
    assert sum(isinstance(row, MemberRow) for row in desk.end()) >= 4


@pytest.mark.parametrize(
    ("content", "problem"),
    [(encode(MemberRow(0)), "does not begin with a header"), (b'{"format":"x"}\n', "no recording that this version")],
)
def test_what_is_no_recording_is_an_error(tmp_path: Path, content: bytes, problem: str) -> None:
    file = tmp_path / "x"
    file.write_bytes(zlib.compress(content, 1, wbits=31))
    with pytest.raises(SidecarError, match=problem):
        list(read([file], print))


def test_the_rest_of_a_cut_file_is_told_and_the_next_file_is_read(desk: Desk, tmp_path: Path) -> None:
    desk.recorder.begin(RULES, BEGIN)
    desk.write(1)
    desk.write(2)
    desk.end()
    cut = tmp_path / "cut"
    cut.write_bytes(desk.files[0].read_bytes()[:-3])
    told: list[str] = []
    found = [row for row, _ in read([cut, desk.files[0]], told.append)]
    assert [row for row in found if isinstance(row, BlindRow)] == [BlindRow(1), BlindRow(1), BlindRow(2)]
    assert len(told) == 1 and "is cut" in told[0]
