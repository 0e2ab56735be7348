"""Each event and rejection of a pattern has the channel that its payload was published on."""

from typing import Any

import pytest

from sidecar.core.events.by_channel import decode_by_channel
from sidecar.core.events.decode import Decoder, decode
from sidecar.core.mapping.definition import Condition, Definition, Rule, Value
from sidecar.core.mapping.mapping import Chain, Mapping

NOW = 1_796_040_000.0
ORDER, BAD = b'{"status":"success"}', b'{"status":"what"}'
PAID = Rule(name="paid", when={"kind": Condition(equals="paid")}, event={"status": Value(value="success")})
MAPPED = Mapping(Definition(name="m", each="events", rules=(PAID, Rule(name="other", drop=True))), currency="EUR")


def channels(*published: tuple[bytes, bytes], decoder: Decoder = decode) -> tuple[Any, Any]:
    names, payloads = zip(*published, strict=True)
    _, origins = decode_by_channel(decoder, list(payloads), [NOW] * len(payloads), list(names))
    return origins.events, origins.rejections


@pytest.mark.parametrize(
    ("published", "found"),
    [
        ([(b"a", ORDER), (b"b", ORDER)], (["a", "b"], [])),
        ([(b"a", b"[%b,%b]" % (ORDER, ORDER)), (b"b", b"[]")], (["a", "a"], [])),
        ([(b"a", b"[%b,%b]" % (ORDER, BAD)), (b"b", ORDER)], (["a", "b"], ["a"])),
        ([(b"a", BAD), (b"b", ORDER)], (["b"], ["a"])),
    ],
)
def test_of_our_own_events(published: list[tuple[bytes, bytes]], found: tuple[list[str], list[str]]) -> None:
    assert channels(*published) == found


def test_of_a_mapping_that_makes_two_events_of_one_payload_and_none_of_another() -> None:
    two = b'{"events":[{"kind":"paid"},{"kind":"paid"}]}'
    none = b'{"events":[{"kind":"other"}]}'
    assert channels((b"a", two), (b"b", none), decoder=Chain([MAPPED]).decode) == (["a", "a"], [])
    one = b'{"events":[{"kind":"paid"}]}'
    assert channels((b"a", one), (b"b", one), decoder=Chain([MAPPED]).decode) == (["a", "b"], [])
