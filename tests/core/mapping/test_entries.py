"""Of a stream entry, the configured field holds the event, or its only field, or all of them are the event."""

import json

import pytest

from sidecar.core.mapping.entries import payload_of

JAVA = b"\xac\xed\x00\x05"


@pytest.mark.parametrize(
    ("entry", "fields", "payload"),
    [
        (("e",), [b"e", b"{}"], b"{}"),
        (("value",), [b"key", b"k", b"value", b"{}"], b"{}"),
        (("data", "payload"), [b"payload", b"1", b"data", b"2"], b"2"),
        (("data", "payload"), [b"payload", b"1"], b"1"),
        (("value",), [JAVA + b"\x74\x00\x05value", b"{}"], b"{}"),
        (("value",), [b"e", b"{}"], None),
        (("value",), [], None),
        (("*",), [b"anything", b"{}"], b"{}"),
        (("*",), [b"a", b"1", b"b", b"2"], None),
        (("*",), [], None),
        (("fields",), [], None),
    ],
)
def test_the_payload_is_in_the_configured_field(
    entry: tuple[str, ...], fields: list[bytes], payload: bytes | None
) -> None:
    assert payload_of(entry, "text")(fields) == payload


def test_fields_are_an_event_of_texts() -> None:
    fields = [
        b"id",
        b"1001",
        b"total",
        b"19.90",
        JAVA + b"\x74\x00\x04name",
        JAVA + b"\x74\x00\x02\xc3\xa4",
        b"bad",
        b"\xff",
    ]
    payload = payload_of(("fields",), "text")(fields)
    assert json.loads(payload or b"") == {
        "id": "1001",
        "total": "19.90",
        "name": "ä",
        "bad": "\N{REPLACEMENT CHARACTER}",
    }


def test_fields_may_hold_json_each() -> None:
    fields = [
        b"id",
        b"1001",
        b"name",
        b'"Ann"',
        b"lines",
        b'[{"sku":"a"}]',
        b"note",
        b"no json",
        b"empty",
        b"",
        b"deep",
        b"[" * 5000,
    ]
    payload = payload_of(("fields",), "json")(fields)
    found = json.loads(payload or b"")
    assert found.pop("deep") == "[" * 5000
    assert found == {"id": 1001, "name": "Ann", "lines": [{"sku": "a"}], "note": "no json", "empty": ""}
    assert payload_of(("fields",), "json")([]) is None


def test_an_object_that_java_has_serialised_is_the_payload_that_names_the_fault() -> None:
    serialised = JAVA + b"\x73\x72\x00\x05Order"
    assert payload_of(("fields",), "text")([b"id", b"1", b"order", serialised]) == serialised
