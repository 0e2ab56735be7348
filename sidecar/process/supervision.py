"""No task dies silently: a failed task either ends the daemon or is restarted, and either way it is logged and counted.

await watched(telemetry, "commit", keep_ticking)        its failure goes to the caller, which ends the daemon
await restarted(telemetry, "gauges", gauges.run)         its failure is logged, and it is restarted
"""

import asyncio
import errno
import resource
import traceback
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any

import structlog

from sidecar.process.logs import RateLimit
from sidecar.process.telemetry import Telemetry

RESTART_SECONDS = 1.0
# The errors of accept() when the machine has run out of something; asyncio treats the same ones specially.
EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
REPORT = "a fault of the sidecar, please report it"


async def until(stop: asyncio.Event, works: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run them all until one ends or fails, or `stop` is set; then cancel the others."""
    tasks = [asyncio.create_task(work) for work in works]
    stopping = asyncio.create_task(stop.wait())
    try:
        done, _ = await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (stopping, *tasks):
            task.cancel()
        await asyncio.gather(stopping, *tasks, return_exceptions=True)
    for task in done - {stopping}:
        task.result()


async def watched(telemetry: Telemetry, name: str, begin: Callable[[], Awaitable[None]]) -> None:
    """Run a task of the daemon; the metrics show whether it runs and how often it failed."""
    running, failures = telemetry.task_running.labels(name), telemetry.task_failures.labels(name)
    running.set(1)
    try:
        await begin()
    except Exception:
        failures.inc()
        raise
    finally:
        running.set(0)


async def restarted(telemetry: Telemetry, name: str, begin: Callable[[], Awaitable[None]]) -> None:
    """Run a task of the daemon until cancelled: when it fails or returns, restart it a second later."""
    limit = RateLimit()
    while True:
        failure: Exception | None = None
        try:
            await watched(telemetry, name, begin)
        except Exception as exc:
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise  # it failed during the shutdown and must not restart
            failure = exc
        detail = "it ended" if failure is None else f"{type(failure).__name__}: {failure}"
        telemetry.trouble(f"task:{name}", f"{detail}; it is restarted. This is {REPORT}")
        suppressed = limit.allow(name, asyncio.get_running_loop().time())
        if suppressed is not None:
            structlog.get_logger("sidecar").error(
                "task failed", task=name, detail=f"{detail}; restarting", suppressed=suppressed, exc_info=failure
            )
        await asyncio.sleep(RESTART_SECONDS)


def loop_exceptions(telemetry: Telemetry) -> Callable[[asyncio.AbstractEventLoop, dict[str, Any]], None]:
    """Return the loop's exception handler. It logs at a bounded rate, since asyncio may call it a thousand times."""
    limit = RateLimit()

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        exc, what = context.get("exception"), str(context.get("message"))
        if isinstance(exc, AttributeError) and _ended_twice(exc):
            return
        exhausted = isinstance(exc, OSError) and exc.errno in EXHAUSTED
        if exhausted:
            telemetry.accept_failures.inc()
            telemetry.trouble("listeners", _exhausted(exc))
        suppressed = limit.allow("accept" if exhausted else what, loop.time())
        if suppressed is None:
            return
        log = structlog.get_logger("sidecar")
        if exhausted:
            log.error("no new clients", detail=_exhausted(exc), suppressed=suppressed)
        else:
            log.error("unexpected", detail=f"{what}; this is {REPORT}", suppressed=suppressed, exc_info=exc)

    return handle


def _ended_twice(exc: AttributeError) -> bool:
    """Return whether asyncio closed a connection twice, which means no more than that a client left.

    It does so when a write fails that waited for room in the buffer: a large WebSocket message, or any write over TLS.
    """
    where = [frame.f_code.co_name for frame, _ in traceback.walk_tb(exc.__traceback__)]
    return where[-1:] == ["_call_connection_lost"]


def _exhausted(exc: BaseException | None) -> str:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return f"{exc}; new clients wait, counting continues; at most {limit} files may be open (ulimit -n, LimitNOFILE)"
