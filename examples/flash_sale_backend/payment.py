"""A simulated payment provider: it is slow, sometimes declines, and sometimes does not answer."""

import asyncio
import random

from .settings import Settings


async def charge(order_id: str, settings: Settings) -> str | None:
    """Return why an order could not be paid; None if it was.

    A real call sends `order_id` as the idempotency key, so that a resumed order is not paid twice.
    A decline is a refusal; silence is a fault. The sidecar distinguishes them by these reasons.
    """
    try:
        async with asyncio.timeout(settings.payment_patience_seconds):
            return await _answer(settings)
    except TimeoutError:
        return "payment_timeout"


async def _answer(settings: Settings) -> str | None:
    drawn = random.random()
    if drawn < settings.payment_silent:
        await asyncio.sleep(3600)
    await asyncio.sleep(settings.payment_seconds * random.uniform(0.5, 1.5))
    return "payment_declined" if drawn < settings.payment_silent + settings.payment_declined else None
