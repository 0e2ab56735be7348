"""Events -> Redis, as a backend publishes them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import click
from msgspec import Struct

from sidecar.core.events.channels import is_pattern
from sidecar.core.events.source import raw_key
from sidecar.errors import CommandError, ConfigError

if TYPE_CHECKING:
    from sidecar.config import SourcesConfig
    from sidecar.redis.link import Link

Transport = Literal["pubsub", "stream"]

transport_option = click.option(
    "--transport",
    type=click.Choice(["pubsub", "stream"]),
    help="How to publish [default: stream where one is configured, else pubsub].",
)
maxlen_option = click.option(
    "--maxlen",
    type=click.IntRange(min=1),
    metavar="N",
    help="Trim the stream to about N entries [default: it is never trimmed].",
)
to_option = click.option("--to", metavar="NAME", help="Channel or stream [default: the first configured].")


class Destination(Struct, frozen=True):
    """Where events go. `maxlen` trims a stream to about that many entries; `None` does not trim it."""

    transport: Transport
    name: str
    maxlen: int | None = None


class Publisher:
    """Publish payloads to one channel or stream."""

    def __init__(self, link: "Link", to: Destination) -> None:
        self.to = to
        self._link = link
        self._command: tuple[Any, ...] = ("PUBLISH", to.name)
        if to.transport == "stream":
            trim = ("MAXLEN", "~", to.maxlen) if to.maxlen else ()
            self._command = ("XADD", raw_key(to.name), *trim, "*", "e")

    async def send(self, payloads: Sequence[str | bytes]) -> int:
        """Publish in order, in one round trip; return how many subscribers received the last (a stream: 1).

        Raises `UnavailableError`; what was sent before it may have arrived.
        """
        from sidecar.redis.link import reading_reply

        replies = await self._link.calls([(*self._command, payload) for payload in payloads])
        for reply in replies:
            if isinstance(reply, Exception):
                raise CommandError(f"Redis rejects {self._command[0]} {self.to.name}: {reply}")
        with reading_reply(self._command[0]):
            return int(replies[-1]) if self.to.transport == "pubsub" else 1


def destination(
    sources: "SourcesConfig", transport: Transport | None, to: str | None, maxlen: int | None
) -> Destination:
    """Choose transport and name: the arguments, else the first configured. Raises `ConfigError`."""
    chosen: Transport = transport or ("stream" if sources.streams else "pubsub")
    if maxlen and chosen == "pubsub":
        raise ConfigError(
            "--maxlen is for a stream, and a channel keeps nothing: leave it out, or use --transport stream"
        )
    names = sources.pubsub if chosen == "pubsub" else sources.streams
    for name in [to] if to else names:
        if to or chosen == "stream" or not is_pattern(name):
            return Destination(chosen, name, maxlen)
    setting = "pubsub" if chosen == "pubsub" else "streams"
    raise ConfigError(f"sources.{setting} names nothing to publish to: give --to NAME or another --transport")
