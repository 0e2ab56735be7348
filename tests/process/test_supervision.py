"""Tasks that fail are restarted or end the daemon, and both is seen; what the loop complains about is bounded."""

import asyncio
import errno
import socket
from collections.abc import Iterable
from typing import Any

import pytest
import structlog
from prometheus_client import CollectorRegistry

from sidecar.process import supervision
from sidecar.process.supervision import loop_exceptions, restarted, watched
from sidecar.process.telemetry import Telemetry
from tests.waiting import eventually


class Metrics:
    """The telemetry of a process, and what it shows."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.telemetry = Telemetry(self.registry, version="1", sources=())

    def sample(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"flash_sale_sidecar_{name}", labels)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


async def test_a_task_shows_while_it_runs(metrics: Metrics) -> None:
    running = asyncio.create_task(watched(metrics.telemetry, "t", asyncio.Event().wait))  # type: ignore[arg-type]
    await eventually(lambda: metrics.sample("task_running", task="t") == 1)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert metrics.sample("task_running", task="t") == 0
    assert metrics.sample("task_failures_total", task="t") == 0


async def test_a_defect_goes_to_who_watches_and_is_counted(metrics: Metrics) -> None:
    async def fail() -> None:
        raise ZeroDivisionError("a defect")

    with pytest.raises(ZeroDivisionError):
        await watched(metrics.telemetry, "t", fail)
    assert metrics.sample("task_failures_total", task="t") == 1
    assert metrics.sample("task_running", task="t") == 0


@pytest.mark.parametrize(("failure", "told"), [(ZeroDivisionError("a defect"), "a defect"), (None, "it ended")])
async def test_what_must_not_end_is_begun_again_and_told(
    metrics: Metrics, monkeypatch: pytest.MonkeyPatch, failure: Exception | None, told: str
) -> None:
    monkeypatch.setattr(supervision, "RESTART_SECONDS", 0.0)
    begun = 0

    async def fail_twice() -> None:
        nonlocal begun
        begun += 1
        if begun > 2:
            await asyncio.Event().wait()
        if failure:
            raise failure

    with structlog.testing.capture_logs() as logs:
        task = asyncio.create_task(restarted(metrics.telemetry, "t", fail_twice))
        await eventually(lambda: begun == 3)
    assert metrics.sample("task_running", task="t") == 1
    assert (metrics.sample("task_failures_total", task="t") or 0) == (2 if failure else 0)
    assert told in metrics.telemetry.troubles()["task:t"]
    assert [(line["event"], line["task"]) for line in logs] == [("task failed", "t")], "one line in a while"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_task_that_fails_during_the_stop_does_not_restart(metrics: Metrics) -> None:
    begun = asyncio.Event()

    async def fail_at_the_end() -> None:
        assert not begun.is_set()
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            raise ZeroDivisionError

    task = asyncio.create_task(restarted(metrics.telemetry, "t", fail_at_the_end))
    await begun.wait()
    task.cancel()
    async with asyncio.timeout(5):
        assert isinstance((await asyncio.gather(task, return_exceptions=True))[0], ZeroDivisionError)


def test_a_trouble_is_over_after_a_minute(metrics: Metrics, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics.telemetry.trouble("log", "stuck")
    assert metrics.telemetry.troubles() == {"log": "stuck"}
    monkeypatch.setattr("sidecar.process.telemetry.TROUBLE_SECONDS", -1.0)
    assert metrics.telemetry.troubles() == {}


async def test_thousands_of_accepts_that_fail_are_one_line_and_named(metrics: Metrics) -> None:
    loop = asyncio.get_running_loop()
    handle = loop_exceptions(metrics.telemetry)
    with structlog.testing.capture_logs() as logs:
        for _ in range(1000):
            handle(loop, {"message": "no more", "exception": OSError(errno.EMFILE, "Too many open files")})
        handle(loop, {"message": "something else", "exception": ZeroDivisionError()})
        handle(loop, {"message": "something else"})
    assert [line["event"] for line in logs] == ["no new clients", "unexpected"]
    assert metrics.sample("accept_failures_total") == 1000
    assert "LimitNOFILE" in metrics.telemetry.troubles()["listeners"]


class Tearing:
    """A socket that takes all of what is sent next, and is found to be reset at what is sent then."""

    def __init__(self, real: socket.socket) -> None:
        self._real = real
        self._sent = False

    def send(self, data: bytes) -> int:
        if self._sent:
            raise BrokenPipeError("Broken pipe")
        self._sent = True
        return len(data)

    def sendmsg(self, buffers: Iterable[bytes]) -> int:
        """Do as `send`: what asyncio takes from Python 3.12 on."""
        return self.send(b"".join(buffers))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


class Writer(asyncio.Protocol):
    """Writes whenever there is room again."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.lost = asyncio.Event()

    def resume_writing(self) -> None:
        self.transport.write(b"more")

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()


async def test_a_client_that_leaves_as_there_is_room_to_write_again_is_no_fault(metrics: Metrics) -> None:
    """asyncio ends its connection twice, and fails; Python 3.14.8 does not. When none does, our part goes."""
    loop = asyncio.get_running_loop()
    handle = loop_exceptions(metrics.telemetry)
    told: list[dict[str, Any]] = []

    def handle_and_tell(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        told.append(context)
        handle(loop, context)

    loop.set_exception_handler(handle_and_tell)
    ours, theirs = socket.socketpair()
    with theirs, structlog.testing.capture_logs() as logs:
        _, writer = await loop.create_connection(Writer, sock=ours)
        writer.transport.write(bytes(1 << 20))
        writer.transport._sock = Tearing(ours)
        theirs.recv(1 << 20)
        async with asyncio.timeout(5):
            await writer.lost.wait()
        await asyncio.sleep(0)
    assert len(told) <= 1
    assert logs == []


class Faulty(asyncio.Protocol):
    """Fails at the end of its connection, by a fault of its own."""

    def connection_lost(self, exc: Exception | None) -> None:
        None.close()  # type: ignore[attr-defined]


async def test_a_fault_at_the_end_of_a_connection_is_told(metrics: Metrics) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(loop_exceptions(metrics.telemetry))
    ours, theirs = socket.socketpair()
    with theirs, structlog.testing.capture_logs() as logs:
        transport, _ = await loop.create_connection(Faulty, sock=ours)
        transport.close()
        await eventually(lambda: logs)
    assert [line["event"] for line in logs] == ["unexpected"]
