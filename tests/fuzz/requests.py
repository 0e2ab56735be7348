"""Raw sequences for the two listeners: requests and frames that are right, or nearly so."""

import struct
from random import Random

from tests.fuzz.mutations import mutated

PATHS = (
    *("/", "/metrics", "/monitoring/metrics", "/monitoring/benchmark", "/monitoring/health?strict=1", "/healthz", "/x"),
    *("/readyz", "/monitoring/history?metric=throughput&from=1&to=2&step=1", "/monitoring/rejected?limit=3"),
    *(
        "/openapi.json",
        "/metrics?name[]=flash_sale_orders_total",
        "/monitoring/metrics?scope=fleet",
        "/%00",
        "/" + "a" * 9000,
    ),
)
HEADERS = (
    *("Accept: text/plain;version=0.0.4", "Accept: application/openmetrics-text;q=0.5,*/*;q=0.1", "Accept: ,,;q=;q=x"),
    *("Accept-Encoding: gzip", "Accept-Encoding: gzip;q=0", "Origin: http://evil.example", "Origin: null"),
    *("Sec-Fetch-Site: cross-site", "Authorization: Bearer x", "Authorization: Basic AAAA", "Authorization: \xff"),
    *("Content-Length: 5", "Content-Length: -1", "Content-Length: 99999999999999999999", "Transfer-Encoding: chunked"),
    *(
        "Content-Encoding: gzip",
        "Expect: 100-continue",
        "Connection: upgrade",
        "Upgrade: websocket",
        "Range: bytes=0-1",
    ),
    *(
        "Access-Control-Request-Method: POST",
        "X: " + "y" * 9000,
        "Cookie: a=b",
        "Host: evil.example",
        ": x",
        "Te: trailers",
    ),
    *("Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Protocol: bearer.eA"),
)
METHODS = ("GET", "GET", "GET", "HEAD", "POST", "OPTIONS", "PUT", "PRI", "get", "CONNECT", "\x00")
MESSAGES = (
    *(
        '{"event":"ping","id":1}',
        '{"event":"subscribe-metrics","data":{"interval_ms":100}}',
        '{"event":"unsubscribe-metrics"}',
    ),
    *(
        '{"event":"subscribe-metrics","data":{"topics":["products"],"scope":"fleet","interval_ms":1e3}}',
        "[]",
        "{",
        '""',
    ),
    *(
        '{"event":"get-benchmark-report","id":{"a":[1]}}',
        '{"event":"authenticate","data":{"token":"x"}}',
        '{"event":7}',
    ),
    *("[" * 4000, '{"event":"ping","id":"\\ud800"}', '{"event":"ping","id":1e999}', '{"event":"\U0001f600"}', "\x00"),
)
HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


def http(random: Random, seeds: list[bytes]) -> list[bytes]:
    """Return what a client sends on one connection."""
    if random.random() < 0.3:
        return [mutated(random, random.choice(seeds), seeds)]
    parts = []
    for _ in range(random.choice((1, 1, 2, 5))):
        headers = ["Host: 127.0.0.1", *random.sample(HEADERS, random.choice((0, 0, 1, 1, 3)))]
        version = random.choice(("HTTP/1.1",) * 9 + ("HTTP/1.0", "HTTP/2.0", ""))
        lines = [f"{random.choice(METHODS)} {random.choice(PATHS)} {version}", *headers, "", ""]
        parts.append("\r\n".join(lines).encode("latin-1"))
        parts.append(random.choice((b"", b"", b"", b"", b"hello", b"5\r\nhello\r\n0\r\n\r\n", b"-1\r\n", b"x" * 5000)))
    whole = b"".join(parts)
    return [mutated(random, whole, seeds) if random.random() < 0.3 else whole]


def websocket(random: Random, seeds: list[bytes]) -> list[bytes]:
    """Return a handshake, mostly a right one, and the frames that follow when it is answered, or at once."""
    frames = b"".join(_frame(random) for _ in range(random.choice((0, 1, 2, 6))))
    if random.random() < 0.2:
        frames = mutated(random, random.choice(seeds), seeds)
    handshake = HANDSHAKE if random.random() < 0.8 else mutated(random, HANDSHAKE, seeds)
    frames = mutated(random, frames, seeds) if random.random() < 0.3 else frames
    return [handshake + frames] if random.random() < 0.1 else [handshake, frames]


def _frame(random: Random) -> bytes:
    data = random.choice(MESSAGES).encode() if random.random() < 0.8 else random.randbytes(random.choice((0, 2, 130)))
    first = random.choice(
        (0x81, 0x81, 0x81, 0x82, 0x88, 0x89, 0x8A, 0x01, 0x80, 0x00, 0xC1, 0x83, random.randrange(256))
    )
    return frame(first, data, masked=random.random() < 0.95, size=random.choice((None,) * 12 + (0, 2**16, 2**63 - 1)))


def frame(first: int, data: bytes, *, masked: bool = True, size: int | None = None) -> bytes:
    """Return a client's frame, whose header may claim another size than it has."""
    claimed, mask = len(data) if size is None else size, 0x80 if masked else 0
    if claimed < 126:
        head = struct.pack("!BB", first, mask | claimed)
    elif claimed < 1 << 16:
        head = struct.pack("!BBH", first, mask | 126, claimed)
    else:
        head = struct.pack("!BBQ", first, mask | 127, claimed)
    return head + (b"\0\0\0\0" if masked else b"") + data  # a mask of zeroes leaves the data as they are
