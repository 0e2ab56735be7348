"""What is forked is a process as any other: with its own environment, output, end and exit status."""

import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli.commands import running
from tests.redis_server import RedisServer


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [(("check", "--offline"), 0, "redis://here:1/0"), (("--nonsense",), 2, "No such option")],
)
def test_it_says_what_it_says_and_ends_with_its_status(arguments: tuple[str, ...], status: int, said: str) -> None:
    with running(*arguments, SIDECAR_REDIS_URL="redis://here:1/0") as process:
        assert process.wait(20) == status
        assert said in "".join(process.out + process.err)
        assert process.process.poll() == status


def test_it_is_where_its_parent_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here.yml").write_text("redis: {url: 'redis://here:1/0'}")
    with running("check", "--offline", "--config", "here.yml") as process:
        assert process.wait(20) == 0
        assert "redis://here:1/0" in "".join(process.out)


def test_it_runs_on_until_a_signal_ends_it(redis_server: RedisServer) -> None:
    arguments = ("--redis-url", redis_server.url, "--http", "127.0.0.1:0", "--ws", "127.0.0.1:0")
    with running("run", *arguments) as process:
        process.wait_for_log("listening")
        with pytest.raises(subprocess.TimeoutExpired):
            process.process.wait(0.1)
        assert process.process.poll() is None
        assert process.end(signal.SIGKILL) == -signal.SIGKILL
