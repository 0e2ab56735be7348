"""What systemd is told (sd_notify(3)): that the daemon serves, and again and again that its loop turns."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

US_PER_SECOND = 1_000_000


def ready() -> None:
    """Say that the servers listen."""
    _notify(b"READY=1")


@asynccontextmanager
async def watched() -> AsyncIterator[None]:
    """Report twice within `WatchdogSec` that the loop runs; a loop that hangs is silent, and systemd restarts it."""
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
    """Send a message, if it is systemd that runs us; a name that begins with @ is in the abstract namespace."""
    name = os.environ.get("NOTIFY_SOCKET")
    if not name:
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
        connection.sendto(message, name.replace("@", "\0", 1) if name.startswith("@") else name)
