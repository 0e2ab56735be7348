"""HTTP from strangers: what is no HTTP, too much of it, or meant to be understood in two ways."""

import asyncio
import json

import pytest

from sidecar.config import HttpConfig, Secret
from sidecar.exposition.access.guard import WRONG_SECONDS
from tests.security.front import error, front, statuses, throw

TOKENS = HttpConfig(admin_token=Secret("admin-token"), read_token=Secret("read-token"))
GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /monitoring/metrics/clear HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer admin-token\r\n"
HIDDEN = b"POST /monitoring/metrics/clear HTTP/1.1\r\nHost: localhost\r\n\r\n"

# Each is answered with one error and the connection ends: nothing behind it is taken for a request of its own.
REFUSED = {
    "two lengths": (POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef" + HIDDEN, 400),
    "two equal lengths": (POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nabcde" + HIDDEN, 400),
    "length and chunks": (POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + HIDDEN, 400),
    "chunks not last": (POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + HIDDEN, 400),
    "chunks twice": (POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "unknown coding": (POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + HIDDEN, 400),
    "negative length": (POST + b"Content-Length: -1\r\n\r\n" + HIDDEN, 400),
    "length with a sign": (POST + b"Content-Length: +5\r\n\r\nabcde" + HIDDEN, 400),
    "length in hex": (POST + b"Content-Length: 0x5\r\n\r\nabcde" + HIDDEN, 400),
    "huge length": (POST + b"Content-Length: 99999999999999999999999\r\n\r\n", 400),
    "space before colon": (POST + b"Content-Length : 5\r\n\r\nabcde" + HIDDEN, 400),
    "folded header": (GET + b"X: a\r\n b\r\n\r\n", 400),
    "null in a header": (GET + b"X: a\0b\r\n\r\n", 400),
    "bare return in a header": (GET + b"X: a\rb\r\n\r\n", 400),
    "header without a name": (GET + b": a\r\n\r\n", 400),
    "two hosts": (GET + b"Host: evil.example\r\n\r\n", 400),
    "no host": (b"GET /healthz HTTP/1.1\r\n\r\n", 400),
    "huge header": (GET + b"X: " + b"a" * 100_000 + b"\r\n\r\n", 400),
    "endless header": (GET + b"X: " + b"a" * 1_000_000, 400),
    "endless target": (b"GET /" + b"a" * 1_000_000, 400),
    "many headers": (GET + b"".join(b"X-%d: a\r\n" % n for n in range(1000)) + b"\r\n", 400),
    "other protocol": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64) + b"\r\n\r\n", 400),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "version that is none": (b"GET /healthz HTTP/9.9\r\nHost: localhost\r\n\r\n", 400),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_can_be_read_in_two_ways_is_refused_once_and_clears_nothing(name: str) -> None:
    data, status = REFUSED[name]
    async with front(TOKENS) as there:
        answer = await throw(there.http, data)
        assert statuses(answer)[:1] == [status], answer[:300]
        assert 200 not in statuses(answer)
        assert there.monitor.clears == 0
        assert error(answer).keys() == {"code", "message"}
        assert b"aiohttp" not in answer
        assert b"Python" not in answer


@pytest.mark.parametrize("chunk", [b"zz\r\n", b"-1\r\n", b"5;\0\r\nabcde", b"5\r\nabcdeXX", b"f" * 40 + b"\r\n"])
async def test_a_body_in_bad_chunks_is_refused_and_clears_nothing(chunk: bytes) -> None:
    async with front(TOKENS) as there:
        answer = await throw(there.http, POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunk + b"\r\n0\r\n\r\n")
        assert statuses(answer) in ([400], [413])
        assert there.monitor.clears == 0


async def test_a_bomb_is_413_however_it_is_sent() -> None:
    bomb = b"x" * 5000
    async with front(TOKENS) as there:
        head = POST + b"Connection: close\r\n"
        for data in (
            head + b"Content-Length: 1000000000\r\n\r\n" + bomb,
            head + b"Transfer-Encoding: chunked\r\n\r\n1388\r\n" + bomb + b"\r\n0\r\n\r\n",
            head + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 5000 + b"0\r\n\r\n",
        ):
            answer = await throw(there.http, data)
            assert statuses(answer) == [413]
        assert there.monitor.clears == 0


async def test_requests_in_one_packet_are_answered_in_turn_each_by_its_own_rights() -> None:
    first = b"GET /monitoring/metrics HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer read-token\r\n\r\n"
    second = b"GET /monitoring/metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
    async with front(TOKENS) as there:
        answer = await throw(there.http, first + second + HIDDEN + GET + b"Connection: close\r\n\r\n")
        assert statuses(answer) == [200, 401, 401, 200]
        assert there.monitor.clears == 0


async def test_a_thousand_requests_in_one_packet_are_no_burden() -> None:
    async with front() as there:
        answer = await throw(there.http, (GET + b"\r\n") * 1000 + GET + b"Connection: close\r\n\r\n")
        assert statuses(answer) == [200] * 1001


@pytest.mark.parametrize(
    "host",
    [
        b"localhost\r\nX-Injected: 1\r\nHost: evil.example",
        b"evil.example",
        b"localhost@evil.example",
        b"evil.example#localhost",
        b"localhost.evil.example",
        b"127.0.0.1.evil.example",
        b"localhost, evil.example",
        b"[::1].evil.example",
        b"\xff\xfe",
        b'"><script>alert(1)</script>',
        b"\x1b[2J",
    ],
)
async def test_a_foreign_or_broken_host_reaches_nothing_and_nothing_of_it_becomes_a_header(host: bytes) -> None:
    async with front() as there:
        answer = await throw(there.http, b"GET /metrics HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n")
        assert statuses(answer)[0] in (400, 421)
        assert b"X-Injected" not in answer.partition(b"\r\n\r\n")[0]
        assert json.loads(answer.rpartition(b"\r\n\r\n")[2])
        assert b"\x1b" not in answer


@pytest.mark.parametrize("origin", [b"https://evil.example\x0bX: 1", b"null", b"https://shop.example\xff", b"*"])
async def test_no_origin_is_reflected_unless_it_is_listed(origin: bytes) -> None:
    config = HttpConfig(cors_origins=("https://shop.example",))
    async with front(config) as there:
        answer = await throw(there.http, GET + b"Origin: " + origin + b"\r\nConnection: close\r\n\r\n")
        assert b"access-control-allow-origin" not in answer.lower()


@pytest.mark.parametrize(
    "target",
    [
        b"/../../etc/passwd",
        b"/%2e%2e/%2e%2e/etc/passwd",
        b"/..%2f..%2fetc%2fpasswd",
        b"/metrics/../monitoring/metrics/clear",
        b"//etc/passwd",
        b"/static/../../sidecar/config.py",
        b"/%00",
        b"/metrics%00.html",
        b"/%ff%fe",
        b"http://evil.example/metrics",
        b"/" + b"a/" * 3000,
    ],
)
async def test_no_path_leads_to_a_file_or_around_the_token(target: bytes) -> None:
    async with front(TOKENS) as there:
        for method in (b"GET", b"POST"):
            request = method + b" " + target + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            answer = await throw(there.http, request)
            assert statuses(answer)[0] in (400, 401, 403, 404), answer[:200]
            assert b"root:" not in answer
        assert there.monitor.clears == 0


@pytest.mark.parametrize("target", [b"/%6detrics", b"/healthz/../metrics", b"/healthz/%2e%2e/metrics", b"/./metrics"])
async def test_a_path_in_disguise_needs_the_token_all_the_same(target: bytes) -> None:
    async with front(TOKENS) as there:
        answer = await throw(
            there.http, b"GET " + target + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )
        assert statuses(answer)[0] in (400, 401)


@pytest.mark.parametrize("method", [b"PUT", b"DELETE", b"PATCH", b"TRACE", b"OPTIONS", b"CONNECT", b"FOO", b"get"])
async def test_other_methods_do_nothing(method: bytes) -> None:
    async with front(TOKENS) as there:
        authorized = b"Authorization: Bearer admin-token\r\nConnection: close\r\n\r\n"
        for path in (b"/monitoring/metrics/clear", b"/metrics"):
            request = method + b" " + path + b" HTTP/1.1\r\nHost: localhost\r\nX-HTTP-Method-Override: POST\r\n"
            answer = await throw(there.http, request + authorized, quiet=1)
            assert statuses(answer)[0] in (400, 404, 405), answer[:200]
        assert there.monitor.clears == 0


@pytest.mark.parametrize(
    "given", [b"Basic YWRtaW46YWRtaW4tdG9rZW4=", b"Bearer admin-token\r\nAuthorization: Bearer x", b"Bearer  "]
)
async def test_only_one_whole_bearer_token_clears(given: bytes) -> None:
    async with front(TOKENS) as there:
        head = b"POST /monitoring/metrics/clear HTTP/1.1\r\nHost: localhost\r\nAuthorization: " + given
        assert statuses(await throw(there.http, head + b"\r\nConnection: close\r\n\r\n")) == [401]
        assert there.monitor.clears == 0


async def test_a_token_in_the_url_is_none() -> None:
    async with front(TOKENS) as there:
        for query in (b"token=read-token", b"access_token=read-token", b"Authorization=Bearer%20read-token"):
            request = b"GET /metrics?" + query + b" HTTP/1.1\r\nHost: read-token@localhost\r\nConnection: close\r\n\r\n"
            assert statuses(await throw(there.http, request))[0] in (401, 421)


async def test_a_wrong_token_waits_and_loses_its_connection_while_a_right_one_is_answered_at_once() -> None:
    loop = asyncio.get_running_loop()
    wrong = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer guess\r\n\r\n"
    right = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer read-token\r\nConnection: close\r\n\r\n"
    async with front(TOKENS) as there:
        await throw(there.http, right)
        began = loop.time()
        guesses = [asyncio.create_task(throw(there.http, wrong + wrong)) for _ in range(50)]
        await asyncio.sleep(0.1)
        assert statuses(await throw(there.http, right)) == [200]
        assert not any(guess.done() for guess in guesses)
        assert [statuses(answer) for answer in await asyncio.gather(*guesses)] == [[401]] * 50
        assert loop.time() - began >= WRONG_SECONDS
        assert there.refused("http", "token") == 50
