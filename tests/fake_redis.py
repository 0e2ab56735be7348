"""A server that speaks Redis's protocol and says what a test wants, or nothing: for what real ones do rarely."""

import asyncio
from collections.abc import Callable
from typing import Any

import hiredis

Answer = Callable[[list[bytes]], Any]
SILENCE = object()  # no answer, the connection stays
HANG_UP = object()  # no answer, the connection ends


class FakeRedis:
    """Answer commands by their first word: with a value, or what a function of the command returns."""

    def __init__(self, **answers: Any) -> None:
        self.answers: dict[str, Any] = {"CLIENT": "OK", **answers}
        self.commands: list[list[bytes]] = []
        self.port = 0
        self.connections = 0  # those open now
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> "FakeRedis":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.sleep(0)

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        return "127.0.0.1", self.port

    def push(self, value: Any) -> None:
        """Send something unasked to everybody."""
        self.push_raw(packed(value))

    def push_raw(self, data: bytes) -> None:
        """Send bytes unasked to everybody."""
        for writer in self._writers:
            writer.write(data)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        self.connections += 1
        try:
            await self._answer(reader, writer)
        except ConnectionError:
            pass  # the client went, as clients do
        finally:
            self.connections -= 1
            writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        parser = hiredis.Reader()
        while data := await reader.read(65536):
            parser.feed(data)
            while (command := parser.gets()) is not False:
                self.commands.append(command)
                answer = self.answers.get(command[0].decode().upper(), ValueError("ERR unknown command"))
                answer = answer(command) if callable(answer) else answer
                if answer is HANG_UP:
                    return
                if answer is not SILENCE:
                    writer.write(packed(answer))


def packed(value: Any) -> bytes:
    """Return a value as Redis sends it: text is a status, bytes are data, an exception an error."""
    if isinstance(value, list):
        return b"*%d\r\n%b" % (len(value), b"".join(map(packed, value)))
    if isinstance(value, bytes):
        return b"$%d\r\n%b\r\n" % (len(value), value)
    if isinstance(value, int):
        return b":%d\r\n" % value
    if isinstance(value, Exception):
        return f"-{value}\r\n".encode()
    return b"$-1\r\n" if value is None else f"+{value}\r\n".encode()
