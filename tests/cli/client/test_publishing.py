"""Where events go, and what Redis answers to them."""

from typing import Any, cast

import pytest

from sidecar.cli.client.publishing import Destination, Publisher, Transport, destination
from sidecar.config.structs import SourcesConfig
from sidecar.errors import CommandError, ConfigError, UnavailableError
from sidecar.redis.link import Link

BOTH = SourcesConfig(pubsub=("channel",), streams=("stream",))


class FakeLink:
    """Answers what it was told to."""

    def __init__(self, *answers: Any) -> None:
        self.answers = answers
        self.commands: list[tuple[Any, ...]] = []

    async def calls(self, commands: list[tuple[Any, ...]]) -> list[Any]:
        self.commands += commands
        return list(self.answers)


def publisher(to: Destination, *answers: Any) -> tuple[Publisher, FakeLink]:
    link = FakeLink(*answers)
    return Publisher(cast(Link, link), to), link


@pytest.mark.parametrize(
    ("to", "command"),
    [
        (Destination("pubsub", "c"), ("PUBLISH", "c")),
        (Destination("stream", "s"), ("XADD", "s", "*", "e")),
        (Destination("stream", "s", 10), ("XADD", "s", "MAXLEN", "~", 10, "*", "e")),
    ],
    ids=["channel", "stream", "trimmed"],
)
async def test_payloads_are_sent_in_order_in_one_go(to: Destination, command: tuple[Any, ...]) -> None:
    one, link = publisher(to, 1, 2)
    assert await one.send(["a", b"b"]) == (2 if to.transport == "pubsub" else 1)
    assert link.commands == [(*command, "a"), (*command, b"b")]


async def test_a_payload_that_redis_rejects_is_an_error_that_names_the_place() -> None:
    one, _ = publisher(Destination("stream", "s"), b"1-0", CommandError("OOM"))
    with pytest.raises(CommandError, match="XADD s: OOM"):
        await one.send(["a", "b"])


async def test_an_answer_that_makes_no_sense_is_an_outage() -> None:
    one, _ = publisher(Destination("pubsub", "c"), [])
    with pytest.raises(UnavailableError):
        await one.send(["a"])


@pytest.mark.parametrize(
    ("transport", "to", "maxlen", "expected"),
    [
        (None, None, None, Destination("stream", "stream")),
        ("pubsub", None, None, Destination("pubsub", "channel")),
        ("pubsub", "mine*", None, Destination("pubsub", "mine*")),
        ("stream", "mine", 5, Destination("stream", "mine", 5)),
    ],
)
def test_a_destination_is_what_was_asked_for_or_the_first_configured(
    transport: Transport | None, to: str | None, maxlen: int | None, expected: Destination
) -> None:
    assert destination(BOTH, transport, to, maxlen) == expected


def test_without_a_stream_it_is_the_first_channel_that_is_no_pattern() -> None:
    sources = SourcesConfig(pubsub=("a*", "b"), streams=())
    assert destination(sources, None, None, None) == Destination("pubsub", "b")


@pytest.mark.parametrize(
    ("sources", "transport", "setting"),
    [
        (SourcesConfig(pubsub=("a*",), streams=()), None, "sources.pubsub"),
        (SourcesConfig(pubsub=("a",), streams=()), "stream", "sources.streams"),
    ],
)
def test_without_a_name_to_publish_to_it_names_the_setting(
    sources: SourcesConfig, transport: Transport | None, setting: str
) -> None:
    with pytest.raises(ConfigError, match=setting):
        destination(sources, transport, None, None)


def test_a_channel_is_not_trimmed() -> None:
    with pytest.raises(ConfigError, match="--maxlen"):
        destination(BOTH, "pubsub", None, 5)
