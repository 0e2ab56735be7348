"""What a stranger can hold, and for how long: deadlines as they are, places, buffers."""

import asyncio
import socket
import time
from pathlib import Path

import pytest

from sidecar.config import HttpConfig, Secret
from sidecar.exposition.http import connections, server
from tests.security.front import UPGRADE, Address, close_code, front, rest, statuses, throw
from tests.security.pki import make_pki
from tests.waiting import eventually

READ = HttpConfig(read_token=Secret("read-token"))
SLACK_SECONDS = 1.5  # a loaded machine
RIGHT = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer read-token\r\nConnection: close\r\n\r\n"


async def lasts(address: Address, first: bytes, then: bytes = b"") -> tuple[float, bytes]:
    """Send something, then one byte of `then` every quarter second; return when the server ended it, and its words."""
    reader, writer = await asyncio.open_connection(*address)
    began = time.monotonic()
    writer.write(first)

    async def drip() -> None:
        for n in range(len(then)):
            await asyncio.sleep(0.25)
            writer.write(then[n : n + 1])

    dripping = asyncio.create_task(drip())
    try:
        answer = await rest(reader, 20)
    finally:
        dripping.cancel()
        await asyncio.gather(dripping, return_exceptions=True)
        writer.transport.abort()
    return time.monotonic() - began, answer


@pytest.mark.campaign
async def test_nobody_holds_a_connection_with_half_a_request(tmp_path: Path) -> None:
    """Every deadline as it is in force, all at once: headers 10 s, body 5 s, handshakes 5 s, token 5 s."""
    certificate, key = make_pki(tmp_path).pair("server")
    (tmp_path / "web.yml").write_text(f"tls_server_config: {{cert_file: {certificate}, key_file: {key}}}")
    tls = HttpConfig(web_config_file=str(tmp_path / "web.yml"))
    head = b"POST /monitoring/metrics/clear HTTP/1.1\r\nHost: localhost\r\n"
    x = b"x" * 100
    async with front(READ) as there, front() as open_there, front(tls) as secret:
        deadlines = {
            "nothing": (lasts(there.http, b""), 10),
            "half a line": (lasts(there.http, b"GET /met"), 10),
            "headers by the byte": (lasts(there.http, b"GET /healthz HTTP/1.1\r\nX: ", x), 10),
            "second request by the byte": (
                lasts(there.http, b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n" + b"GET", x),
                10,
            ),
            "body that stalls": (
                lasts(open_there.http, b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n"),
                6,
            ),
            "body by the byte": (
                lasts(open_there.http, b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n", x),
                6,
            ),
            "body nobody asked for": (lasts(there.http, head + b"Content-Length: 99\r\n\r\n", x), 1),
            "websocket: nothing": (lasts(there.ws, b""), 5),
            "websocket: by the byte": (lasts(there.ws, b"GET / HTTP/1.1\r\nX: ", x), 5),
            "websocket: no token": (lasts(there.ws, UPGRADE % b""), 6),
            "tls: nothing": (lasts(secret.http, b""), 5),
            "tls: by the byte": (lasts(secret.http, b"\x16\x03\x01\x02\x00", x), 5),
            "tls, websocket: nothing": (lasts(secret.ws, b""), 5),
        }
        results = await asyncio.gather(*(work for work, _ in deadlines.values()))
    ended = {name: round(seconds, 1) for name, (seconds, _) in zip(deadlines, results, strict=True)}
    late = {name: at for name, at in ended.items() if at > deadlines[name][1] + SLACK_SECONDS}
    assert not late
    answers = {name: answer for name, (_, answer) in zip(deadlines, results, strict=True)}
    assert statuses(answers["body by the byte"]) == [408]
    assert close_code(answers["websocket: no token"]) == 1008


async def test_a_full_house_gives_the_place_of_a_stranger_to_who_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 20)
    async with front(READ) as there:
        idle = [await there.connect(there.http) for _ in range(20)]
        for _ in range(5):
            assert statuses(await throw(there.http, RIGHT)) == [200]
        oldest, newest = idle[0][0], idle[-1][0]
        assert await asyncio.wait_for(oldest.read(), 1) == b""
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(newest.read(), 0.2)


async def test_an_answer_in_progress_is_not_cut_for_a_newcomer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 3)
    async with front(READ) as there:
        asked_for, may_answer = asyncio.Event(), asyncio.Event()

        async def slow() -> dict[str, int]:
            asked_for.set()
            await may_answer.wait()
            return {"orders": 1}

        monkeypatch.setattr(there.monitor, "clear", slow)
        admin = there.guard.http
        there.guard.reload(HttpConfig(admin_token=Secret("admin-token"), read_token=admin.read_token))
        clear = b"POST /monitoring/metrics/clear HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer admin-token\r\n"
        asked = asyncio.create_task(throw(there.http, clear + b"Connection: close\r\n\r\n"))
        await asyncio.wait_for(asked_for.wait(), 5)
        for _ in range(10):
            await there.connect(there.http)
        may_answer.set()
        assert statuses(await asked) == [200]


def ask(address: Address) -> bytes:
    """Ask as the owner does, from a thread of his own: in the guessers' loop his request would wait for theirs.

    Return nothing if he is cut off before an answer: a thread that a busy machine holds up between `connect` and
    `sendall` becomes the one that waits longest.
    """
    with socket.create_connection(address, timeout=10) as connection:
        try:
            connection.sendall(RIGHT)
            first = connection.recv(65536)
        except ConnectionError:
            return b""
        return first + b"".join(iter(lambda: connection.recv(65536), b""))


async def test_a_flood_of_guesses_over_all_places_does_not_keep_the_owner_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 150)
    monkeypatch.setattr(server, "BACKLOG", 30)
    guess = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer guess\r\n\r\n"
    over = asyncio.Event()

    async def guesser(address: Address) -> None:
        while not over.is_set():
            await throw(address, guess)

    async with front(READ) as there:
        guessers = []  # one a turn: where all come at once, the kernel puts most of them off for seconds
        for _ in range(180):
            guessers.append(asyncio.create_task(guesser(there.http)))
            await asyncio.sleep(0)
        await eventually(lambda: there.refused("http", "token") > 200)
        began = time.monotonic()
        answers: list[bytes] = []
        cuts = 0
        while len(answers) < 20 and cuts <= 5:
            if answer := await asyncio.to_thread(ask, there.http):
                answers.append(answer)
            else:
                cuts += 1  # he asks again, as Prometheus does at its next scrape
        assert [statuses(answer) for answer in answers] == [[200]] * 20
        assert time.monotonic() - began < 10
        over.set()
        await asyncio.gather(*guessers)


async def test_who_takes_no_answer_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the kernel, if the rest is with the kernel, and by a deadline where we still hold some of it."""
    monkeypatch.setattr(connections, "UNACKNOWLEDGED_MS", 1000)
    monkeypatch.setattr(connections, "ANSWER_SECONDS", 1.0)
    many = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 30
    async with front() as there:
        deaf = socket.socket()
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        deaf.connect(there.http)
        deaf.sendall(many)
        await eventually(lambda: held(there.http) == 1)
        await eventually(lambda: held(there.http) == 0, 8, "the connection to be gone")
        deaf.close()


def held(address: Address) -> int:
    """Count the connections of a server that the kernel still keeps for it."""
    port = f":{address[1]:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1].endswith(port) and row[3] not in ("0A", "06") for row in rows)  # listening, time-wait
