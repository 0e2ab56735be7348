"""WebSocket clients that subscribe and then never read."""

import json
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

RECEIVE_BUFFER_BYTES = 4096  # the less the kernel takes, the more is left to the daemon


@contextmanager
def stalled(port: int, count: int, *, report: bool = False, apart: float = 0.0, **wanted: object) -> Iterator[None]:
    """Keep so many of them connected while the context is open; `wanted` is what they subscribe to.

    With `report` they ask for one, too. All subscribe at once, or so many seconds `apart`.
    """
    with ExitStack() as stack:
        clients = [stack.enter_context(connected(port)) for _ in range(count)]
        for client in clients:
            send(client, "subscribe-metrics", wanted)
            if report:
                send(client, "get-benchmark-report", {})
            time.sleep(apart)
        yield


def connected(port: int) -> socket.socket:
    """Return a client that has shaken hands."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
    client.settimeout(10)
    client.connect(("127.0.0.1", port))
    client.sendall(
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n" % port
    )
    while not client.recv(4096).endswith(b"\r\n\r\n"):
        pass
    return client


def send(client: socket.socket, event: str, data: dict[str, object]) -> None:
    """Send one message, and wait for nothing."""
    message = json.dumps({"event": event, "data": data}).encode()
    client.sendall(struct.pack("!BBH4x", 0x81, 0x80 | 126, len(message)) + message)  # masked with zeros
