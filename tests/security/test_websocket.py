"""The WebSocket from strangers: odd handshakes, frames against the protocol, bombs and floods."""

import asyncio
import json
import time
from contextlib import suppress

import pytest

from sidecar.config import HttpConfig, Secret, WsConfig
from sidecar.exposition.access import guard
from sidecar.exposition.live import clients as live_clients
from sidecar.exposition.live import handshake
from tests.security.front import UPGRADE, Front, close_code, front, masked, rest, statuses, throw
from tests.waiting import eventually

BYE = masked(8, b"\x03\xe8")
PING = json.dumps({"event": "ping"}).encode()
READ = HttpConfig(read_token=Secret("read-token"), admin_token=Secret("admin-token"))
TOKEN = b"Authorization: Bearer read-token\r\n"


def upgrade(*, remove: bytes = b"", add: bytes = b"") -> bytes:
    """Return a handshake without one line, or with others."""
    return b"".join(
        line for line in (UPGRADE % add).splitlines(keepends=True) if not remove or not line.startswith(remove)
    )


ODD = {
    "bad version": (upgrade(remove=b"Sec-WebSocket-Version", add=b"Sec-WebSocket-Version: 8\r\n"), 400),
    "no version": (upgrade(remove=b"Sec-WebSocket-Version"), 400),
    "no key": (upgrade(remove=b"Sec-WebSocket-Key"), 400),
    "short key": (upgrade(remove=b"Sec-WebSocket-Key", add=b"Sec-WebSocket-Key: AAAA\r\n"), 400),
    "two keys": (upgrade(add=b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"), 400),
    "no upgrade": (upgrade(remove=b"Upgrade"), 426),
    "no host": (upgrade(remove=b"Host"), 421),
    "two hosts": (upgrade(add=b"Host: localhost\r\n"), 421),
    "foreign host": (upgrade(remove=b"Host", add=b"Host: evil.example\r\n"), 421),
    "foreign origin": (upgrade(add=b"Origin: https://evil.example\r\n"), 403),
    "two origins": (upgrade(add=b"Origin: http://localhost\r\nOrigin: https://evil.example\r\n"), 403),
    "two equal origins": (upgrade(add=b"Origin: http://localhost\r\nOrigin: http://localhost\r\n"), 403),
    "origin with a list": (upgrade(add=b"Origin: http://localhost https://evil.example\r\n"), 403),
    "origin with a user": (upgrade(add=b"Origin: http://localhost@evil.example\r\n"), 403),
    "empty origin": (upgrade(add=b"Origin: \r\n"), 403),
    "origin null": (upgrade(add=b"Origin: null\r\n"), 403),
    "post": (upgrade().replace(b"GET", b"POST"), None),
    "http 1.0": (upgrade().replace(b"HTTP/1.1", b"HTTP/1.0"), None),
    "huge header": (upgrade(add=b"X: " + b"a" * 100_000 + b"\r\n"), None),
    "many headers": (upgrade(add=b"X: a\r\n" * 1000), None),
    "huge subprotocol list": (upgrade(add=b"Sec-WebSocket-Protocol: " + b"a, " * 5000 + b"a\r\n"), None),
    "body": (upgrade(add=b"Content-Length: 5\r\n") + b"abcde", None),
    "no http": (b"\x16\x03\x01\x00\xff" + bytes(300), None),
}


@pytest.mark.parametrize("name", ODD)
async def test_an_odd_handshake_is_refused_or_cut_and_opens_nothing(name: str) -> None:
    data, status = ODD[name]
    async with front() as there:
        answer = await throw(there.ws, data)
        assert statuses(answer) == [status] if status else 101 not in statuses(answer)
        assert clients(there) == 0


async def test_a_plain_request_is_answered_that_this_is_a_websocket() -> None:
    async with front() as there:
        assert statuses(await throw(there.ws, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")) == [426]


@pytest.mark.parametrize(
    "path",
    [b"/socket.io/?EIO=4&transport=websocket", b"/socket.io/?EIO=4&transport=polling&t=O", b"/metrics/socket.io?EIO=3"],
)
async def test_a_socket_io_client_is_refused_at_once_with_a_reason(path: bytes) -> None:
    plain = b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"
    async with front() as there:
        for request in (upgrade().replace(b"GET /", b"GET " + path, 1), plain):
            answer = await throw(there.ws, request)
            assert statuses(answer) == [400]
            assert b"a plain WebSocket, which a Socket.IO client cannot speak" in answer


@pytest.mark.parametrize(
    "lines",
    [b"Sec-WebSocket-Protocol: " + b"a%d, " * 200 % tuple(range(200)) + b"b\r\n", b"Sec-WebSocket-Protocol: \xff\r\n"],
)
async def test_subprotocols_without_a_token_are_not_echoed(lines: bytes) -> None:
    async with front() as there:
        answer = await speak(there, BYE, upgrade(add=lines))
        assert b"sec-websocket-protocol:" not in answer.lower()


async def test_compression_that_is_offered_stays_off() -> None:
    offer = b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits, x-webkit-deflate-frame\r\n"
    async with front() as there:
        assert b"sec-websocket-extensions" not in (await opened(there, upgrade(add=offer)))[2].lower()
        assert await serves(there, upgrade(add=offer))


BROKEN = {
    "unmasked": (masked(1, PING, mask=False), 1002),
    "reserved bit": (masked(1, PING, reserved=0x40), 1002),
    "unknown opcode": (masked(3, b""), 1002),
    "unknown control": (masked(0xB, b""), 1002),
    "large ping": (masked(9, bytes(126)), 1002),
    "ping in pieces": (masked(9, b"a", final=False), 1002),
    "continues nothing": (masked(0, b"abc"), 1002),
    "begins twice": (masked(1, b"a", final=False) + masked(1, b"b"), 1002),
    "close of one byte": (masked(8, b"\x03"), 1002),
    "close with a code that is none": (masked(8, b"\x00\x01"), 1002),
    "no utf-8": (masked(1, b"\xff\xfe"), 1007),
    "no utf-8 in a close": (masked(8, b"\x03\xe8\xff"), 1007),
    "large message": (masked(1, b"x" * 5000), 1009),
    "large in pieces": (b"".join(masked(0 if n else 1, b"x" * 500, final=False) for n in range(10)), 1009),
    "length of 2 ** 62": (b"\x81\xff" + (2**62).to_bytes(8, "big") + bytes(4), 1009),
    "length of 2 ** 63": (b"\x81\xff" + (2**63).to_bytes(8, "big") + bytes(4), None),
    "thousands of empty pieces": (masked(1, b"", final=False) + masked(0, b"", final=False) * 5000, None),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_frames_against_the_protocol_end_that_connection_alone(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    data, code = BROKEN[name]
    async with front() as there:
        answer = await speak(there, data)
        assert close_code(answer) == code if code else close_code(answer) in (1002, 1009, None)
        await eventually(lambda: clients(there) == 0)
        assert await serves(there)
    assert not [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")]


async def test_floods_of_control_frames_are_no_burden() -> None:
    flood = masked(9, b"x") * 2000 + masked(10, b"x") * 2000 + masked(8, b"\x03\xe8") * 500
    async with front() as there:
        assert close_code(await speak(there, flood)) == 1000
        await eventually(lambda: clients(there) == 0)


async def test_a_thousand_who_connect_and_leave_at_once_leave_nothing_behind() -> None:
    async with front() as there:

        async def come_and_go(n: int) -> None:
            _, writer = await there.connect(there.ws)
            writer.write(upgrade()[: n % 200] if n % 2 else upgrade() + BYE)
            writer.transport.abort()

        for start in range(0, 1000, 100):
            await asyncio.gather(*(come_and_go(n) for n in range(start, start + 100)))
        await eventually(lambda: clients(there) == 0)
        assert await serves(there)


async def test_strangers_get_some_places_and_whoever_carries_the_token_all_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(handshake, "MAX_UNAUTHORIZED", 5)
    async with front(READ, WsConfig(max_clients=20)) as there:
        held = [await opened(there, upgrade()) for _ in range(8)]
        assert [statuses(answer) for *_, answer in held] == [[101]] * 5 + [[503]] * 3
        assert b"token" in held[-1][2]
        *_, answer = await opened(there, upgrade(add=TOKEN))
        assert statuses(answer) == [101]
        held[0][1].write(masked(1, b'{"event":"authenticate","data":{"token":"read-token"}}'))
        await eventually(lambda: there.refused("websocket", "busy") == 3)
        async with asyncio.timeout(5):
            while statuses((await opened(there, upgrade()))[2]) != [101]:
                pass  # the place of the one who has authenticated is free


async def test_too_many_handshakes_at_once_cost_the_oldest_its_place() -> None:
    async with front(ws=WsConfig(max_clients=10)) as there:
        waiting = [await there.connect(there.ws) for _ in range(30)]
        assert await serves(there)
        async with asyncio.timeout(2):  # long before the deadline of a handshake
            for reader, _ in waiting[:20]:
                with suppress(ConnectionError):
                    assert await reader.read() == b""


async def test_guesses_over_one_connection_are_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_clients, "AUTHENTICATE_WITHIN_SECONDS", 1.0)
    guess = masked(1, b'{"event":"authenticate","data":{"token":"guess"}}')
    began = time.monotonic()
    async with front(READ) as there:
        answer = await speak(there, guess * 100)
        assert close_code(answer) == 1008
        assert answer.count(b'"unauthorized"') <= 1.0 / guard.WRONG_SECONDS
    assert time.monotonic() - began < 10, "the guesses of who is gone are still being judged"


def clients(there: Front) -> float | None:
    return there.registry.get_sample_value("flash_sale_sidecar_websocket_clients")


async def opened(there: Front, data: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, bytes]:
    """Send a handshake, return the head of the answer, or all of it if it is a refusal, and stay."""
    reader, writer = await there.connect(there.ws)
    writer.write(data)
    async with asyncio.timeout(5):
        answer = await reader.readuntil(b"\r\n\r\n")
        if statuses(answer) != [101]:
            answer += await reader.read()
    return reader, writer, answer


async def speak(there: Front, frames: bytes, handshake: bytes = UPGRADE % b"") -> bytes:
    """Connect, send the frames, and return all that comes until the server closes."""
    reader, writer, head = await opened(there, handshake)
    writer.write(frames)
    return head + await rest(reader, 10)


async def serves(there: Front, handshake: bytes = UPGRADE % b"") -> bool:
    """Tell whether a client of good will gets its answer."""
    reader, writer, _ = await opened(there, handshake)
    writer.write(masked(1, PING))
    async with asyncio.timeout(5):
        answer = await reader.readuntil(b"}}")
    return b'"pong"' in answer
