"""The proxy does to a connection what it says."""

import contextlib
import socket
import time
from collections.abc import Iterator

import pytest

from tests.proxy import DELAY_SECONDS, Fault, Proxy
from tests.redis_server import RedisServer
from tests.waiting import wait_until

SILENCE_SECONDS = 0.15


@contextlib.contextmanager
def connected(proxy: Proxy) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=2) as client:
        yield client


def ask(client: socket.socket, seconds: float = 2.0) -> bytes:
    """Send a PING and return what comes within so long."""
    client.settimeout(seconds)
    client.sendall(b"PING\r\n")
    return client.recv(100)


def test_what_a_black_hole_held_back_goes_on(proxy: Proxy) -> None:
    with connected(proxy) as client:
        ask(client)
        proxy.misbehave("black hole")
        with connected(proxy) as accepted, pytest.raises(TimeoutError):
            ask(accepted, SILENCE_SECONDS)
        with pytest.raises(TimeoutError):
            ask(client, SILENCE_SECONDS)
        proxy.heal()
        client.settimeout(2)
        assert client.recv(100) == b"+PONG\r\n"


def test_the_deaf_hear_no_answers_and_are_reset_in_the_end(proxy: Proxy, redis_server: RedisServer) -> None:
    with connected(proxy) as client:
        ask(client)
        proxy.misbehave("deaf")
        client.sendall(b"SET passed on\r\n")
        wait_until(lambda: "on" in redis_server.ask("GET passed"))
        with pytest.raises(TimeoutError):
            ask(client, SILENCE_SECONDS)
        proxy.heal()
        with pytest.raises(ConnectionResetError):
            client.recv(100)


def test_a_cut_ends_and_refuses(proxy: Proxy) -> None:
    with connected(proxy) as client:
        ask(client)
        proxy.misbehave("cut")
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    with pytest.raises(ConnectionError), connected(proxy) as client:
        ask(client)
    proxy.heal()
    with connected(proxy) as client:
        assert ask(client) == b"+PONG\r\n"


def test_a_half_close_says_that_no_more_will_come_and_passes_on_requests(
    proxy: Proxy, redis_server: RedisServer
) -> None:
    with connected(proxy) as client:
        ask(client)
        proxy.misbehave("half-close")
        assert client.recv(1) == b""
        with connected(proxy) as another:
            assert ask(another) == b"+PONG\r\n"
        client.sendall(b"SET passed on\r\n")
        wait_until(lambda: "on" in redis_server.ask("GET passed"))


@pytest.mark.parametrize(("fault", "least"), [("delay", 2 * DELAY_SECONDS), ("slow", 0.1)])
def test_it_may_be_late_or_slow(proxy: Proxy, fault: Fault, least: float) -> None:
    with connected(proxy) as client:
        ask(client)
        proxy.misbehave(fault)
        began = time.monotonic()
        client.sendall(b"ECHO %s\r\n" % (b"x" * 4000))
        received = b""
        while len(received) < 4000:
            received += client.recv(4096)
        assert time.monotonic() - began >= least
