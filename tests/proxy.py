"""A TCP proxy of our own between a client and a server on the loopback, which misbehaves when told to.

It runs in a thread with a loop of its own, so that tests with and without a loop can use it alike.
"""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Literal, Self

# What it does to every connection, old and new.
Fault = Literal[
    "",  # passes everything on
    "cut",  # ends every connection with a reset, and refuses new ones
    "half-close",  # says to the clients there are that no more will come, and passes on what they send
    "black hole",  # accepts and passes on nothing, in neither direction; when it ends, what was held back goes on
    "deaf",  # passes on requests and drops the answers; when it ends, connections with a hole in them are reset
    "delay",  # passes everything on, DELAY_SECONDS late
    "slow",  # passes everything on, a few bytes at a time
]
DELAY_SECONDS = 0.3
SLOW_BYTES, SLOW_SECONDS = 512, 0.01  # 50 KB/s
CHUNK_BYTES = 65536


class Proxy:
    """Accept on `port`, and pass on to a server's port."""

    def __init__(self, target: int) -> None:
        """Prepare; `start` listens."""
        self.port = 0
        self.fault: Fault = ""
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._writers: dict[asyncio.StreamWriter, bool] = {}  # and whether a client is at the other end
        self._half_closed: set[asyncio.StreamWriter] = set()
        self._holed: set[asyncio.StreamWriter] = set()  # clients of which answers were dropped
        self._tasks: set[asyncio.Task[None]] = set()
        self._well = asyncio.Event()
        self._server: asyncio.Server | None = None

    def instead_of(self, url: str) -> str:
        """Return the URL of the server as one that leads through here."""
        return url.replace(f":{self._target}/", f":{self.port}/")

    def start(self) -> Self:
        """Listen on a free port."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(5)
        return self

    def stop(self) -> None:
        """End every connection and stop listening."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def misbehave(self, fault: Fault) -> None:
        """Do this from now on; it holds when this returns."""
        self._in_loop(lambda: self._become(fault))

    def heal(self) -> None:
        """Pass everything on again."""
        self.misbehave("")

    def _in_loop(self, work: Callable[[], None]) -> None:
        async def run() -> None:
            work()

        asyncio.run_coroutine_threadsafe(run(), self._loop).result(5)

    def _become(self, fault: Fault) -> None:
        self.fault = fault
        if fault == "black hole":
            self._well.clear()
        else:
            self._well.set()
        for writer, to_client in list(self._writers.items()):
            if fault == "cut" or writer in self._holed:
                _reset(writer)
            elif fault == "half-close" and to_client:
                self._half_closed.add(writer)
                with contextlib.suppress(OSError):
                    writer.write_eof()

    async def _listen(self) -> None:
        self._well.set()
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _end(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client until either side ends."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.CancelledError):
                if self.fault != "cut":
                    await self._join(reader, writer)
        finally:
            self._tasks.discard(task)
            _reset(writer)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with self._kept(writer, to_client=True):
            await self._well.wait()
            from_server, to_server = await asyncio.open_connection("127.0.0.1", self._target)
            with self._kept(to_server, to_client=False):
                pumps = [
                    asyncio.ensure_future(self._pump(reader, to_server, answers=False)),
                    asyncio.ensure_future(self._pump(from_server, writer, answers=True)),
                ]
                try:
                    await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for pump in pumps:
                        pump.cancel()
                    await asyncio.gather(*pumps, return_exceptions=True)

    @contextlib.contextmanager
    def _kept(self, writer: asyncio.StreamWriter, *, to_client: bool) -> Iterator[None]:
        self._writers[writer] = to_client
        try:
            yield
        finally:
            del self._writers[writer]
            self._half_closed.discard(writer)
            self._holed.discard(writer)
            writer.close()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, answers: bool) -> None:
        """Pass on one direction until its source ends."""
        while data := await source.read(CHUNK_BYTES):
            await self._well.wait()
            if self.fault == "delay":
                await asyncio.sleep(DELAY_SECONDS)
            if answers and self.fault == "deaf":
                self._holed.add(sink)
                continue
            if sink in self._half_closed:
                continue
            step = SLOW_BYTES if self.fault == "slow" else len(data)
            for start in range(0, len(data), step):
                sink.write(data[start : start + step])
                await sink.drain()
                if self.fault == "slow":
                    await asyncio.sleep(SLOW_SECONDS)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close at once, with a reset: that is what lingering for no time means."""
    with contextlib.suppress(OSError):
        linger = struct.pack("ii", 1, 0)
        writer.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()
