"""`sidecar export`: the same history from a daemon and from Redis, in files that other tools read."""

import csv
import io
import json
import time
from datetime import datetime
from pathlib import Path

import pytest

from sidecar.cli.client.readers import HttpReader
from sidecar.exposition.history import METRICS
from tests.cli.commands import execute, invoke, on_terminal
from tests.cli.sales import PREFIX
from tests.cli.test_run import count_one, daemon
from tests.redis_server import RedisServer

COLUMNS = ["ts", "time", "throughput", "queue_length", "active_connections"]


@pytest.fixture
def now() -> int:
    """A second not long ago."""
    return int(time.time()) - 10


@pytest.fixture
def kept(redis_server: RedisServer, now: int) -> RedisServer:
    """A Redis with four seconds of history."""
    values = {f"throughput:{now - 3}": 5, f"throughput:{now}": 7, f"queue_length:{now}": 0}
    redis_server.ask(f"HSET {PREFIX}checkpoint n 1", *(f"SET {PREFIX}{key} {n}" for key, n in values.items()))
    return redis_server


def rows(server: RedisServer, now: int, *arguments: str) -> list[dict[str, str]]:
    """Return the CSV of the last four seconds."""
    where = ("--redis-url", server.url, "--from", str(now - 3), "--to", str(now))
    result = invoke("export", *where, *arguments)
    assert (result.exit_code, result.stderr) == (0, "")
    return list(csv.DictReader(io.StringIO(result.stdout)))


def test_csv_has_a_row_for_every_second_and_an_empty_cell_for_the_unknown(kept: RedisServer, now: int) -> None:
    found = rows(kept, now)
    assert list(found[0]) == COLUMNS
    assert [int(row["ts"]) for row in found] == list(range(now - 3, now + 1))
    assert [datetime.fromisoformat(row["time"]).timestamp() for row in found] == list(range(now - 3, now + 1))
    assert [row["throughput"] for row in found] == ["5", "", "", "7"]
    assert [row["queue_length"] for row in found] == ["", "", "", "0"]


def test_metrics_and_step_can_be_chosen(kept: RedisServer, now: int) -> None:
    found = rows(kept, now, "--metric", "queue_length", "--metric", "throughput", "--step", "4s")
    assert [list(row.values())[2:] for row in found] == [["0.0", "3.0"]]
    assert list(found[0])[2:] == ["queue_length", "throughput"]


def test_json_lines_say_null_for_the_unknown(kept: RedisServer, now: int) -> None:
    where = ("--redis-url", kept.url, "--from", str(now - 1), "--to", str(now), "--format", "jsonl")
    lines = invoke("export", *where).stdout.splitlines()
    assert [json.loads(line)["throughput"] for line in lines] == [None, 7]
    assert list(json.loads(lines[0])) == COLUMNS


def test_without_more_it_is_the_last_hour(kept: RedisServer, now: int) -> None:
    found = list(csv.DictReader(io.StringIO(invoke("export", "--redis-url", kept.url).stdout)))
    assert len(found) == 3600
    assert sum(int(row["throughput"] or 0) for row in found) == 12


@pytest.mark.parametrize("form", ["{unix}.9", "{iso}", "{ago}"])
def test_a_time_may_be_written_in_three_ways(kept: RedisServer, now: int, form: str) -> None:
    iso = datetime.fromtimestamp(now).astimezone().isoformat()
    text = form.format(unix=now, iso=iso, ago=f"{int(time.time()) - now + 5}s")
    lines = invoke("export", "--redis-url", kept.url, "--from", text, "--metric", "throughput").stdout.splitlines()
    assert any(line.startswith(f"{now},") and line.endswith(",7") for line in lines)
    assert len(lines) < 60


def test_a_time_without_a_zone_is_utc(kept: RedisServer) -> None:
    span = ("--from", "2026-01-01T00:00", "--to", "2026-01-01T00:00")
    result = execute("export", "--redis-url", kept.url, *span, TZ="Asia/Tokyo")
    assert "2026-01-01T00:00:00Z,,," in result.stdout
    assert "nothing is known of this time" in result.stderr
    assert result.returncode == 0


def test_a_file_gets_what_stdout_would(kept: RedisServer, now: int, tmp_path: Path) -> None:
    where = ("--redis-url", kept.url, "--from", str(now - 3), "--to", str(now))
    file = tmp_path / "history.csv"
    written = invoke("export", *where, "--output", str(file))
    assert (written.exit_code, written.stdout, written.stderr) == (0, "", "")
    assert file.read_text() == invoke("export", *where).stdout


def test_what_was_written_is_told_on_a_terminal_only(kept: RedisServer, now: int, tmp_path: Path) -> None:
    arguments = ("export", "--redis-url", kept.url, "--from", str(now - 3), "--to", str(now), "--output")
    assert execute(*arguments, str(tmp_path / "piped")).stderr == ""
    with on_terminal(*arguments, str(tmp_path / "shown")) as terminal:
        terminal.wait_for("4 rows in ")


@pytest.mark.parametrize(
    ("arguments", "status", "problem"),
    [
        (("--from", "yesterday"), 2, "--from must be a Unix time, 2026-11-27T09:00:00Z, or 15m"),
        (("--from", "2026-13-01T00:00Z"), 2, "--from must be a Unix time"),
        (("--from", "9" * 400), 2, "--from must be a Unix time"),
        (("--step", "2026-11-27"), 2, "--step must be a duration such as 10s"),
        (("--step", "10ms"), 2, "step must be 1 or more seconds"),
        (("--from", "10s", "--to", "20s"), 2, "from must not be after to"),
        (("--from", "1"), 2, "more than 11000 points: take a larger step or a shorter time"),
        (("--metric", "orders"), 2, "'orders' is not one of"),
        (("--report", "--format", "csv"), 2, "--report is one line of totals"),
        (("--prefix", "other:"), 1, "nothing is stored under 'other:'"),
        (("--output", "/nowhere/x.csv"), 1, "cannot write /nowhere/x.csv: No such file or directory; name another"),
    ],
)
def test_what_cannot_be_is_said_with_the_mend(
    kept: RedisServer, arguments: tuple[str, ...], status: int, problem: str
) -> None:
    result = invoke("export", "--redis-url", kept.url, *arguments)
    assert result.exit_code == status
    assert problem in result.stderr


def test_a_daemon_gives_what_redis_holds_and_the_totals_are_one_line(redis_server: RedisServer) -> None:
    with daemon("--redis-url", redis_server.url) as (_, url):
        count_one(redis_server, url)
        span = ("--from", "30s", "--to", str(int(time.time()) - 1), "--metric", "throughput")
        by_url = invoke("export", *span, "--url", url).stdout.splitlines()
        by_redis = invoke("export", *span, "--redis-url", redis_server.url).stdout.splitlines()
        assert set(by_redis) >= {row.removesuffix(",0") + "," * row.endswith(",0") for row in by_url[-20:]}
        total = [json.loads(invoke("export", "--report", *where).stdout) for where in (("--url", url),)]
        assert total[0]["orders"]["total"] == 1
        told = invoke("export", "--report", "--redis-url", redis_server.url).stdout
        assert told.count("\n") == 1
        assert json.loads(told)["orders"]["total"] == 1


def test_a_false_daemon_cannot_steer_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    points = {"points": [[1, "\x1b[2J"]]}
    monkeypatch.setattr(HttpReader, "history", lambda *_: dict.fromkeys(METRICS, points))
    assert "\x1b" not in invoke("export", "--url", "http://127.0.0.1:1").output
