"""Payloads are read whatever wrote them, also those within others."""

from base64 import b64encode
from typing import Any

import msgspec
import pytest

from sidecar.core.events.rejections import UNREADABLE
from sidecar.core.mapping.payloads import decoded, inner, is_msgpack, text_of

ORDER = b'{"id":1}'


@pytest.mark.parametrize(
    "payload",
    [
        ORDER,
        b"\xef\xbb\xbf" + ORDER,
        b"\xac\xed\x00\x05\x74\x00\x08" + ORDER,
        b"\xac\xed\x00\x05\x7c\x00\x00\x00\x00\x00\x00\x00\x08" + ORDER,
        b"\xac\xed\x00\x05\x75\x72\x00\x02[B"
        + b"\xac\xf3\x17\xf8\x06\x08\x54\xe0\x02\x00\x00\x78\x70\x00\x00\x00\x08"
        + ORDER,
        msgspec.msgpack.encode({"id": 1}),
    ],
)
def test_json_comes_plain_with_a_mark_and_serialised_by_java_or_as_messagepack(payload: bytes) -> None:
    assert decoded(text_of(payload)) == {"id": 1}


def test_objects_that_java_has_serialised_stay_as_they_are() -> None:
    payload = b"\xac\xed\x00\x05\x73\x72\x00\x05Order"
    assert text_of(payload) is payload
    with pytest.raises(ValueError, match="malformed"):
        decoded(payload)


@pytest.mark.parametrize(
    "value", [{"a": 1}, {str(n): n for n in range(20)}, {str(n): n for n in range(70_000)}, [1], [0] * 20]
)
def test_messagepack_is_recognised_by_its_first_byte(value: Any) -> None:
    assert decoded(msgspec.msgpack.encode(value)) == value


@pytest.mark.parametrize("payload", [b"", b"{}", b"[]", b'"x"', b"7", b"\xef\xbb\xbf{}", b"\xac\xed"])
def test_json_is_no_messagepack(payload: bytes) -> None:
    assert not is_msgpack(payload)


def within(payload: Any, **encodings: Any) -> Any:
    """Return a payload with what is within it decoded."""
    for decode in inner(encodings):
        payload = decode(payload)
    return payload


@pytest.mark.parametrize("body", ['{"id":1}', '"{\\"id\\":1}"', {"id": 1}])
def test_json_in_a_string_is_decoded_once_or_twice_or_already(body: Any) -> None:
    assert within({"body": body}, body="json") == {"body": {"id": 1}}


@pytest.mark.parametrize("body", [ORDER, msgspec.msgpack.encode({"id": 1.0})])
def test_base64_holds_json_or_messagepack(body: bytes) -> None:
    assert within({"body": b64encode(body).decode()}, body="base64") == {"body": {"id": 1}}


def test_what_is_within_the_inner_one_is_decoded_as_well() -> None:
    payload = {"a": '{"b":"{\\"c\\":1}"}'}
    assert within(payload, a="json", **{"a.b": "json"}) == {"a": {"b": {"c": 1}}}


@pytest.mark.parametrize("payload", [{}, {"body": None}, {"other": 1}, [], "text", None])
def test_nothing_is_decoded_where_nothing_is(payload: Any) -> None:
    assert within(payload, body="json") == payload


@pytest.mark.parametrize(
    ("encoding", "body"),
    [("json", "no json"), ("json", ""), ("base64", "!"), ("base64", "é"), ("base64", "AAAA"), ("json", "[" * 5000)],
)
def test_what_cannot_be_decoded_is_told_with_its_path(encoding: str, body: str) -> None:
    with pytest.raises(ValueError, match=rf"^body: expected {encoding}: "):
        within({"body": body}, body=encoding)


def test_what_is_nested_too_deeply_cannot_be_decoded() -> None:
    for payload in (b"[" * 5000, b"\x91" * 5000, b"\x91" * 400 + b"\xc0"):
        try:
            decoded(payload)
        except UNREADABLE:
            continue
