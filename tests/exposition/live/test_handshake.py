"""What a handshake carries; who is let in with it is in test_websocket."""

import pytest

from sidecar.exposition.live import handshake
from sidecar.exposition.live.handshake import origin_allowed


@pytest.mark.parametrize(
    ("subprotocol", "token"),
    [
        ("bearer.c2VjcmV0", "secret"),
        ("bearer.c8Opc2FtZT8_", "s\u00e9same??"),
        ("bearer.YQ", "a"),
        ("bearer.YQ==", "a"),
        ("bearer.", ""),
        ("bearer.a", ""),
        ("bearer._w", ""),
        ("bearer.\u00e9", ""),
    ],
)
def test_a_token_is_read_from_the_subprotocol(subprotocol: str, token: str) -> None:
    assert handshake.token(subprotocol) == token


@pytest.mark.parametrize(
    ("origin", "host", "origins", "allowed"),
    [
        ("http://[::1]:9850", "[::1]:9851", (), True),
        ("http://[::1]:9850", "other", ("[::1]",), True),
        ("http://a", None, (), False),
        (None, "a", (), False),
        ("null", "", (), False),
    ],
)
def test_an_origin_is_compared_by_host_name(
    origin: str | None, host: str | None, origins: tuple[str, ...], allowed: bool
) -> None:
    assert origin_allowed(origin, host, origins) is allowed
