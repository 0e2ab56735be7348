"""What `listen` may say."""

import asyncio
import errno
import socket

import pytest

from sidecar.errors import ConfigError
from sidecar.exposition.access.listen import cannot_listen, parse_listen, where


@pytest.mark.parametrize(
    ("listen", "address"),
    [
        ("127.0.0.1:9850", ("127.0.0.1", 9850)),
        ("localhost:0", ("localhost", 0)),
        ("[::1]:9850", ("::1", 9850)),
        (":9850", ("", 9850)),
    ],
)
def test_an_address_is_host_and_port(listen: str, address: tuple[str, int]) -> None:
    assert parse_listen(listen, "http.listen") == address


@pytest.mark.parametrize("listen", ["", "9850", "127.0.0.1", "::1:9850", "localhost:99999", "localhost:-1", "h:http"])
def test_anything_else_names_the_setting_and_an_example(listen: str) -> None:
    with pytest.raises(ConfigError, match=r"^http\.listen: .* is not host:port, for example"):
        parse_listen(listen, "http.listen")


async def test_every_address_of_ipv6_is_every_address_of_ipv4_too() -> None:
    server = await asyncio.start_server(lambda reader, writer: writer.close(), **where("::", 0))
    async with server:
        port = server.sockets[0].getsockname()[1]
        for host in ("127.0.0.1", "::1"):
            _, writer = await asyncio.open_connection(host, port)
            writer.close()


async def test_without_ipv6_every_address_is_every_ipv4_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    assert where("::", 9850) == {"host": None, "port": 9850}


@pytest.mark.parametrize(("host", "bound"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "0.0.0.0"), ("", None)])
def test_any_other_address_is_bound_as_it_is(host: str, bound: str | None) -> None:
    assert where(host, 9850) == {"host": bound, "port": 9850}


def test_an_unforeseen_reason_is_given_as_the_system_words_it() -> None:
    error = cannot_listen("sale:1", "http.listen", OSError(errno.EIO, "Input/output error"))
    assert str(error) == "http.listen: sale:1 cannot be listened on (Input/output error)"
