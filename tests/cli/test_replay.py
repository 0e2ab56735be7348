"""What `sidecar replay` prints, and when it exits with 99."""

import asyncio
import json
import time
import zlib
from pathlib import Path

import pytest
import redis
from msgspec.structs import replace

from sidecar.config import Config, RedisConfig
from sidecar.core.counts.sale import Announcement
from sidecar.core.journal.rows import encode
from sidecar.daemon import build
from tests.cli.commands import invoke
from tests.core.journal.test_replay import segments
from tests.journals import header
from tests.ledgers import T0, commit, new_ledger, order, take
from tests.ledgers import heard as heard_batch
from tests.redis_server import RedisServer


def write(folder: Path, *contents: list[bytes]) -> Path:
    """Write segments as files, each of one member."""
    for number, segment in enumerate(contents):
        (folder / f"i-{number}.fsr.gz").write_bytes(zlib.compress(b"".join(segment), 1, wbits=31))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path, *segments())


def test_it_shows_the_report_as_a_table_as_json_and_as_markdown(folder: Path) -> None:
    assert "success" in invoke("replay", str(folder)).stdout
    shown = json.loads(invoke("replay", str(folder), "--json").stdout)
    assert (shown["orders"]["total"], shown["instance"], shown["until"]) == (11, "i", T0 + 3)
    assert invoke("replay", str(folder), "--markdown").stdout.startswith("# Flash sale report: i\n")
    first = sorted(folder.iterdir())[0]
    assert json.loads(invoke("replay", str(first), "--json").stdout)["orders"]["total"] == 3


def test_the_same_is_told_and_a_difference_ends_with_99(folder: Path) -> None:
    same = invoke("replay", str(folder), "--verify")
    assert (same.exit_code, same.stdout, same.stderr) == (0, "", "The same: 12 events replayed, 4 comparisons.\n")
    saved = folder / "report.json"
    saved.write_text(json.dumps({"committed_at": T0 + 2, "instance": "x", "orders": {"total": 8}}))
    found = invoke("replay", str(folder), "--against", str(saved))
    assert found.exit_code == 99
    assert "UTC  orders.total: recorded 8, replayed 7" in found.stderr


def test_what_is_missing_is_a_warning(folder: Path) -> None:
    first, second, third = sorted(folder.iterdir())
    second.write_bytes(second.read_bytes()[:-5])
    found = invoke("replay", str(first), str(second), str(third), "--json")
    assert found.exit_code == 0
    assert f"Warning: {second.name}: the member at byte 0 is cut" in found.stderr
    assert json.loads(found.stdout)["orders"]["total"] == 11


@pytest.mark.parametrize(
    ("content", "arguments", "status", "problem"),
    [
        (None, [], 1, "there is no recording in"),
        (b"x", [], 1, "no file holds a checkpoint"),
        (None, ["--against", "none.json"], 1, "No such file"),
        ("{", ["--against", "report.json"], 2, "is no JSON"),
        ("[]", ["--against", "report.json"], 2, "is no report"),
        (None, ["--json", "--markdown"], 2, "exclude each other"),
        (None, ["--publish", "redis://there", "--verify"], 2, "--publish has no report"),
        (None, ["--prefix", "x:"], 2, "--publish has no report"),
    ],
)
def test_what_cannot_be_done_is_said(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    content: str | bytes | None,
    arguments: list[str],
    status: int,
    problem: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    if isinstance(content, str):
        (tmp_path / "report.json").write_text(content)
    if isinstance(content, bytes):
        write(tmp_path, [encode(header())])
    found = invoke("replay", str(tmp_path), *arguments)
    assert found.exit_code == status
    assert problem in found.stderr


def test_it_needs_something_to_compare_with_and_recordings_of_one_sidecar(tmp_path: Path) -> None:
    first, *_ = segments()
    write(tmp_path, first[:3])
    assert "has no report to compare with" in invoke("replay", str(tmp_path), "--verify").stderr
    saved = tmp_path / "report.json"
    saved.write_text(json.dumps({"committed_at": T0 + 99}))
    found = invoke("replay", str(tmp_path), "--against", str(saved))
    assert found.exit_code == 1 and "a commit that this recording does not have" in found.stderr
    write(tmp_path, first, [encode(header(instance="j")), *first[1:]])
    assert "recordings of i and of j" in invoke("replay", str(tmp_path)).stderr


def test_the_speed_is_a_multiple_of_the_original(folder: Path) -> None:
    """The recording takes three seconds."""
    began = time.monotonic()
    assert invoke("replay", str(folder), "--speed", "20").exit_code == 0
    assert time.monotonic() - began >= 0.1


async def test_events_are_published_again_unless_a_sale_runs_there(folder: Path, redis_server: RedisServer) -> None:
    heard = redis.Redis(port=redis_server.port).pubsub()  # type: ignore[no-untyped-call]
    heard.subscribe("c")
    heard.get_message(timeout=5)
    command = ("replay", str(folder), "--publish", redis_server.url, "--speed", "100")
    found = await asyncio.to_thread(invoke, *command)
    assert found.exit_code == 0, found.stderr
    assert found.stdout.startswith("Published 12 payloads in")
    messages = [json.loads(heard.get_message(timeout=5)["data"]) for _ in range(12)]
    assert [one["seq"] for one in messages if one["producer"] == "p"] == list(range(3, 12))
    assert len({one["epoch"] for one in messages}) == 2, "one of each producer"
    store = build.store(replace(Config(), redis=RedisConfig(url=redis_server.url)))
    ledger = new_ledger(streams=())
    await take(ledger, store)
    ledger.aggregate.apply(replace(heard_batch(order()), arrivals=[time.time()]), time.time())
    await commit(ledger, store, time.time())
    await store.announce(Announcement(action="start", at=time.time(), by="http", unique_id="x"))
    await commit(ledger, store, time.time())
    await commit(ledger, store, time.time())
    await store.close()
    refused = await asyncio.to_thread(invoke, *command)
    assert (refused.exit_code, "a sale runs under" in refused.stderr) == (1, True)
