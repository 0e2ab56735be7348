"""What the name of a source says."""

import pytest

from sidecar.core.events.source import PUBSUB, STREAM, SourceKind, key_of, kind_of


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
