"""Notify systemd (sd_notify(3)) that the daemon is ready, and regularly that its event loop runs."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

US_PER_SECOND = 1_000_000


def ready() -> None:
    """Notify systemd that the servers listen."""
    _notify(b"READY=1")


@asynccontextmanager
async def watched() -> AsyncIterator[None]:
    """Notify systemd twice within `WatchdogSec`; it restarts a daemon whose loop hangs."""
    period = int(os.environ.get("WATCHDOG_USEC", "0")) / US_PER_SECOND
    pulse = asyncio.create_task(_pulse(period / 2)) if period else None
    try:
        yield
    finally:
        if pulse is not None:
            pulse.cancel()


async def _pulse(seconds: float) -> None:
    while True:
        _notify(b"WATCHDOG=1")
        await asyncio.sleep(seconds)


def _notify(message: bytes) -> None:
    """Send a message if systemd runs the process; a socket name with @ is in the abstract namespace."""
    name = os.environ.get("NOTIFY_SOCKET")
    if not name:
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
        connection.sendto(message, name.replace("@", "\0", 1) if name.startswith("@") else name)
