"""What `check` finds in the answers of a Redis; test_check.py asks a real one."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from sidecar.cli.checks import probes
from sidecar.cli.checks.findings import Finding
from sidecar.config.structs import Config
from sidecar.core.counts.liveness import CHECKER
from sidecar.errors import AccessError, CommandError, UnavailableError
from sidecar.redis.link import Link

NAME = "events"
DENIED, REJECTED = AccessError("no"), CommandError("no such key")


class FakeLink:
    """Answers commands by their first two words, or their first."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.commands: list[tuple[Any, ...]] = []

    async def call(self, *command: Any) -> Any:
        self.commands.append(command)
        name = "_".join(command[:2]) if "_".join(command[:2]) in self.answers else command[0]
        answer = self.answers[name]
        if isinstance(answer, Exception):
            raise answer
        return answer


def link(**answers: Any) -> Link:
    return cast(Link, FakeLink(**answers))


def said(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(one.level, one.text) for one in findings]


@pytest.mark.parametrize(
    ("failure", "text"),
    [
        (AccessError("no right"), "channel c: no right"),
        (CommandError("no memory"), "channel c: Redis rejects no memory"),
        (UnavailableError("gone"), "channel c: gone"),
    ],
)
async def test_a_failure_is_a_finding_and_the_rest_is_looked_at(failure: Exception, text: str) -> None:
    async def fail() -> list[Finding]:
        raise failure

    assert said(await probes._guarded("channel c", fail())) == [("problem", text)]


async def test_what_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "LOOK_SECONDS", 0.01)
    never: Callable[[], Any] = asyncio.Event().wait
    (finding,) = await probes._guarded("INFO", never())
    assert (finding.level, f"within {probes.LOOK_SECONDS:.0f} s" in finding.text) == ("problem", True)


# Channels


async def test_listeners_are_counted() -> None:
    there = link(PUBSUB_NUMSUB=[b"events", 2], PUBSUB_NUMPAT=0)
    assert said(await probes._listeners(there, NAME)) == [("ok", "channel events: 2 listening")]


async def test_a_silent_channel_is_a_warning_and_so_is_one_of_a_similar_name() -> None:
    there = link(PUBSUB_NUMSUB=[b"events", 0], PUBSUB_NUMPAT=3, PUBSUB_CHANNELS=[b"event", b"unlike"])
    silent, similar = await probes._listeners(there, NAME)
    assert (silent.level, "3 listen to patterns" in silent.text) == ("warning", True)
    assert (similar.level, "somebody listens on event," in similar.text) == ("warning", True)


@pytest.mark.parametrize("failure", [DENIED, REJECTED])
async def test_who_listens_need_not_be_seen(failure: Exception) -> None:
    ((level, text),) = said(await probes._listeners(link(PUBSUB=failure), NAME))
    assert (level, "may not see" in text) == ("ok", True)


# Streams


async def test_a_key_of_another_kind_is_a_problem() -> None:
    ((level, text),) = said(await probes._stream(link(TYPE=b"list"), Config(), NAME, everywhere=False))
    assert (level, "holds a list" in text) == ("problem", True)


def entries(*payloads: bytes | None) -> list[Any]:
    """Return entries as XREVRANGE does, the newest first; one without a payload has another field."""
    made = [[b"%d-0" % n, [b"e", one] if one is not None else [b"data", b"x"]] for n, one in enumerate(payloads, 1)]
    return made[::-1]


async def test_a_stream_with_nothing_but_heartbeats_of_checks_has_no_event_yet() -> None:
    beat = b'{"type":"heartbeat","producer":"%s"}' % CHECKER.encode()
    assert await probes._entries(link(XREVRANGE=entries(beat, beat)), NAME, Config()) == []


async def test_entries_without_the_field_are_a_warning() -> None:
    there = link(XREVRANGE=entries(b'{"status":"paid"}', None), XLEN=2)
    findings = said(await probes._entries(there, NAME, Config()))
    assert findings[0] == ("ok", "stream events: 2 entries")
    assert findings[-1] == ("warning", "stream events: no field e in 1 of the newest 2 entries")


async def test_entries_that_are_not_understood_are_told() -> None:
    findings = said(await probes._entries(link(XREVRANGE=entries(b"no JSON"), XLEN=1), NAME, Config()))
    assert any(level != "ok" for level, _ in findings)


@pytest.mark.parametrize(
    ("answers", "level", "words"),
    [
        ({"XADD": b"1-0", "XRANGE": [[b"1-0", []]]}, "ok", "heartbeat read back"),
        ({"XADD": b"1-0", "XRANGE": []}, "problem", "a heartbeat was trimmed at once"),
        ({"XADD": None}, "ok", "does not exist yet"),
        ({"XADD": DENIED}, "ok", "not write"),
    ],
    ids=["there", "trimmed", "no stream", "read only"],
)
async def test_a_heartbeat_goes_through_the_stream(answers: dict[str, Any], level: str, words: str) -> None:
    there = link(XINFO=[b"groups", 0], **answers)
    finding = await probes._round_trip(there, NAME, everywhere=False)
    assert (finding.level, words in finding.text) == (level, True)


@pytest.mark.parametrize(("groups", "text"), [(1, "1 consumer group reads it"), (2, "2 consumer groups read it")])
async def test_a_stream_that_others_read_gets_no_heartbeat_unless_asked_for(groups: int, text: str) -> None:
    there = FakeLink(XINFO=[b"groups", groups], XADD=None)
    finding = await probes._round_trip(cast(Link, there), NAME, everywhere=False)
    assert text in finding.text
    assert [command[0] for command in there.commands] == ["XINFO"]
    await probes._round_trip(cast(Link, there), NAME, everywhere=True)
    assert there.commands[-1][:3] == ("XADD", NAME, "NOMKSTREAM")


async def test_a_stream_that_is_not_there_is_read_by_nobody() -> None:
    assert await probes._others_read(link(XINFO=REJECTED), NAME) == ""
