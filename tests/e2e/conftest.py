"""Daemons that end with their test."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.daemon import Daemon, ForkServer

MakeDaemon = Callable[..., Daemon]


@pytest.fixture
def make_daemon(tmp_path: Path) -> Iterator[MakeDaemon]:
    """Prepare daemons: `make_daemon(redis.url, settings="lease: 2s")`; the caller starts them."""
    daemons: list[Daemon] = []

    def make(redis_url: str, *, settings: str = "") -> Daemon:
        daemons.append(Daemon(tmp_path, redis_url, settings=settings, name=f"daemon-{len(daemons)}"))
        return daemons[-1]

    yield make
    for daemon in daemons:
        daemon.end()


@pytest.fixture
def fork_server() -> Iterator[ForkServer]:
    """A server that starts daemons at once."""
    server = ForkServer()
    yield server
    server.stop()
