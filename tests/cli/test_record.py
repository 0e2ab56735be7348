"""`sidecar record` makes a recording of what a stream still holds."""

import json
from pathlib import Path

import pytest

from sidecar.core.journal.rows import RecordingHeader
from sidecar.recording import files
from sidecar.recording.files import read
from tests.cli.commands import invoke
from tests.redis_server import RedisServer


def add(redis_server: RedisServer, number: int, seconds: int = 0) -> None:
    order = json.dumps({"status": "success", "order_id": f"o{number}", "producer": "p", "seq": number})
    redis_server.ask(f"XADD shop {1790000000000 + 1000 * seconds}-{number} e '{order}'")


@pytest.fixture
def shop(redis_server: RedisServer) -> RedisServer:
    """A stream of nine orders, one a second from the fourth on, and an entry without an event."""
    for number in range(1, 10):
        add(redis_server, number, max(number - 3, 0))
    redis_server.ask("XADD shop 1790000009000-0 other x")
    return redis_server


def recorded(server: RedisServer, file: Path, *options: str) -> dict[str, int]:
    """Record, replay with a comparison, and return the orders by status."""
    found = invoke("record", "--redis-url", server.url, "--from-stream", "shop", "--output", str(file), *options)
    assert found.exit_code == 0, found.stderr
    replayed = invoke("replay", str(file), "--verify", "--json")
    assert replayed.exit_code == 0, replayed.stderr
    report = json.loads(replayed.stdout)
    assert report["completeness"]["missed"] == 0
    return {**report["orders"]["by_status"], "invalid": report["completeness"]["invalid"]}


def test_a_stream_is_recorded_and_replayed(shop: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MEMBER_BYTES", 300)
    found = recorded(shop, tmp_path / "all")
    assert (found["success"], found["invalid"]) == (9, 1)
    assert (tmp_path / "all").stat().st_mode & 0o777 == 0o600
    ((header, _), *_) = read([tmp_path / "all"], print)
    assert isinstance(header, RecordingHeader)
    assert (header.made, header.streams) == ("xrange", ("shop",))


def test_only_a_part_of_it(shop: RedisServer, tmp_path: Path) -> None:
    assert recorded(shop, tmp_path / "a", "--from", "1790000000000-2", "--to", "1790000003000")["success"] == 5
    assert recorded(shop, tmp_path / "b", "--from", "1790000002000")["success"] == 5
    assert recorded(shop, tmp_path / "c", "--from", "1790000090000")["success"] == 0


@pytest.mark.parametrize(
    ("options", "status", "problem"),
    [
        (["--from-stream", "none", "--output", "new"], 1, "there is no stream 'none'"),
        (["--from-stream", "shop", "--output", "there"], 1, "File exists"),
        (["--from-stream", "shop", "--output", "new", "--from", "x"], 2, "--from must be the id of an entry"),
        (["--output", "new"], 2, "Missing option '--from-stream'"),
    ],
)
def test_what_cannot_be_recorded_is_said(
    shop: RedisServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    status: int,
    problem: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("there").write_text("")
    found = invoke("record", "--redis-url", shop.url, *options)
    assert (found.exit_code, problem in found.stderr) == (status, True), found.stderr
    assert not Path("new").exists()
