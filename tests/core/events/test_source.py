"""What the name of a source says."""

import pytest

from sidecar.core.events.source import PUBSUB, STREAM, SourceKind, as_java_writes, key_of, kind_of, raw_key


@pytest.mark.parametrize(
    ("source", "kind", "key"),
    [
        ("stream:flash_sale:events", STREAM, "flash_sale:events"),
        ("pubsub:flash_sale:events", PUBSUB, "flash_sale:events"),
        ("pubsub:shop-*", PUBSUB, "shop-*"),
        ("pubsub:stream:orders", PUBSUB, "stream:orders"),
        ("of a later version:x", PUBSUB, "x"),
    ],
)
def test_a_source_is_named_by_its_kind_and_its_key(source: str, kind: SourceKind, key: str) -> None:
    assert (kind_of(source), key_of(source)) == (kind, key)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("orders", "orders"),
        ("a\\b", "a\\b"),
        (r"\xac\xed\x00\x05t\x00\x06orders", b"\xac\xed\x00\x05t\x00\x06orders"),
        (r"\xAC\n\"\\\t\r\a\b\q", b'\xac\n"\\\t\r\a\bq'),
        (as_java_writes("{shop}:orders"), b"\xac\xed\x00\x05t\x00\x0d{shop}:orders"),
    ],
)
def test_a_key_that_is_no_text_is_named_as_redis_cli_shows_it(name: str, key: str | bytes) -> None:
    assert raw_key(name) == key
