"""Events -> Redis, as a backend publishes them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import click

from sidecar.errors import ConfigError, RefusedError

if TYPE_CHECKING:
    from sidecar.config import SourcesConfig
    from sidecar.connection import Link

Transport = Literal["pubsub", "stream"]
# What the contract tells backends to trim to.
STREAM_LENGTH = 1_000_000

transport_option = click.option(
    "--transport",
    type=click.Choice(["pubsub", "stream"]),
    help="How to publish [default: pubsub where a channel is configured, else stream].",
)
to_option = click.option("--to", metavar="NAME", help="Channel or stream [default: the first configured].")


class Publisher:
    """Publish payloads to one channel or stream."""

    def __init__(self, link: "Link", *, transport: Transport, name: str) -> None:
        self._link = link
        self.transport = transport
        self.name = name

    async def send(self, payloads: Sequence[str | bytes]) -> int:
        """Publish in order, in one round trip; return how many subscribers heard the last (a stream: 1).

        Raises `UnavailableError`; what was sent before it may have arrived.
        """
        from sidecar.connection import making_sense

        command: tuple[Any, ...] = ("PUBLISH", self.name)
        if self.transport == "stream":
            command = ("XADD", self.name, "MAXLEN", "~", STREAM_LENGTH, "*", "e")
        replies = await self._link.calls([(*command, payload) for payload in payloads])
        for reply in replies:
            if isinstance(reply, Exception):
                raise RefusedError(f"Redis refuses {command[0]} {self.name}: {reply}")
        with making_sense(command[0]):
            return int(replies[-1]) if self.transport == "pubsub" else 1


def destination(sources: "SourcesConfig", transport: Transport | None, to: str | None) -> tuple[Transport, str]:
    """Choose transport and name: what was asked for, else the first configured. Raises `ConfigError`."""
    chosen: Transport = transport or ("pubsub" if sources.pubsub else "stream")
    if to:
        return chosen, to
    names = sources.pubsub if chosen == "pubsub" else sources.streams
    for name in names:
        if chosen == "stream" or "*" not in name:
            return chosen, name
    setting = "pubsub" if chosen == "pubsub" else "streams"
    raise ConfigError(f"sources.{setting} names nothing to publish to: give --to NAME or another --transport")
