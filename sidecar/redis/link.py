"""One connection to Redis. It never reconnects, so facts about the server stay true as long as it lives.

redis-py makes the connection (TLS, authentication, RESP). Its client, pool and PubSub are not used: their retries send
a command again after a lost answer, and their read loops mistake a dead connection for silence.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterable, Iterator
from typing import Any, Self

import msgspec
from hiredis import pack_command
from redis import exceptions
from redis._parsers.hiredis import NOT_ENOUGH_DATA, _AsyncHiredisParser
from redis._parsers.socket import SERVER_CLOSED_CONNECTION_ERROR
from redis.asyncio.connection import Connection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from sidecar.errors import UnavailableError
from sidecar.redis.errors import LOST, not_connected, translated
from sidecar.redis.info import read_info
from sidecar.redis.secret import read_secret
from sidecar.redis.tls import client_context
from sidecar.redis.url import RedisTarget, join_host_port

CONNECT_SECONDS = 1.0
REPLY_SECONDS = 3.0
# With these the kernel gives up a dead connection after 5 s, without them after 15 minutes. macOS calls the first
# TCP_KEEPALIVE and lacks TCP_USER_TIMEOUT.
_KEEPALIVE = {"TCP_KEEPIDLE": 5, "TCP_KEEPALIVE": 5, "TCP_KEEPINTVL": 2, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 5000}
KEEPALIVE = {getattr(socket, name): value for name, value in _KEEPALIVE.items() if hasattr(socket, name)}
READ_BYTES = 1 << 18  # everything that asyncio has buffered, in one read
SLICE_BYTES = 1 << 14
CLIENT_NAME = "flash-sale-sidecar"


class _Parser(_AsyncHiredisParser):
    """redis-py's parser, which can also drain the replies that have already arrived.

    hiredis moves its whole unread buffer for every kilobyte it parses, so it is fed in slices.
    """

    __slots__ = ("_unfed",)

    def __init__(self, socket_read_size: int) -> None:
        super().__init__(socket_read_size)
        self._unfed = memoryview(b"")

    async def read_from_socket(self) -> bool:
        """Feed what was read before, or read more; return True, as redis-py expects."""
        if not self._feed():
            read: Any = await self._stream.read(self._read_size)  # type: ignore[union-attr]
            if not read:
                raise exceptions.ConnectionError(SERVER_CLOSED_CONNECTION_ERROR)
            self._unfed = memoryview(read)
            self._feed()
        return True

    def drain(self, limit: int) -> list[Any]:
        """Return up to `limit` replies that have arrived."""
        reader: Any = self._reader
        replies: list[Any] = []
        if reader is None:
            return replies
        gets = reader.gets
        while len(replies) < limit:
            if (reply := gets()) is not NOT_ENOUGH_DATA:
                replies.append(reply)
            elif not self._feed():
                break
        return replies

    def _feed(self) -> bool:
        """Feed the next slice; return False if there is none."""
        if not self._unfed:
            return False
        reader: Any = self._reader
        reader.feed(self._unfed[:SLICE_BYTES])
        self._unfed = self._unfed[SLICE_BYTES:]
        return True


class Link:
    """One socket. A failed call closes it, unless Redis answered with an error."""

    def __init__(self, connection: Any, target: RedisTarget, address: tuple[str, int]) -> None:
        self.address = address
        self._connection = connection
        self._target = target
        self._busy = asyncio.Lock()

    @classmethod
    async def open(cls, target: RedisTarget, address: tuple[str, int] | None = None) -> Self:
        """Connect to one server: to `address`, by default that of `target`.

        Raises UnavailableError, or AccessError if user, password or a certificate cannot be used.
        """
        where = address or (target.addresses[0] if target.addresses else (target.path, 0))
        what = f"{target.peer} at {join_host_port(*where) if where[1] else where[0]}"
        connection = _prepared(target, where)
        try:
            async with asyncio.timeout(REPLY_SECONDS):
                await connection.connect()
                link = cls(connection, target, where)
                await link._introduce()
        except BaseException as exc:
            await _abandon(connection)
            if isinstance(exc, (*LOST, exceptions.RedisError, UnavailableError)):
                raise not_connected(exc, what, target) from exc
            raise
        return link

    async def _introduce(self) -> None:
        """Name the connection for CLIENT LIST, if the server takes names; not on Sentinels: some want a login first."""
        if self._target.peer == "Redis":
            await self._connection.send_command("CLIENT", "SETNAME", CLIENT_NAME, check_health=False)
            reply = await self._reply()
            if str(reply).startswith("DENIED"):
                raise reply

    async def call(self, *command: Any) -> Any:
        """Send one command and return its reply.

        Raises UnavailableError when no reply came, CommandError or AccessError when Redis answered with an error.
        """
        reply = (await self.calls([command]))[0]
        if isinstance(reply, Exception):
            raise translated(reply, f"{command[0]}", self._target) from reply
        return reply

    async def calls(self, commands: Iterable[tuple[Any, ...]]) -> list[Any]:
        """Send commands in one write and return their replies; an error is returned as a value, in its place."""
        packed = list(map(pack_command, commands))
        async with self._busy:
            self._require_open()
            try:
                async with asyncio.timeout(REPLY_SECONDS):
                    await self._connection.send_packed_command(packed, check_health=False)
                    return await self._replies(len(packed))
            except BaseException as exc:
                # A reply may still arrive: it must not be taken for the answer to the next command.
                await self.close()
                if isinstance(exc, (*LOST, exceptions.RedisError)):
                    raise translated(exc, self._target.peer, self._target) from exc
                raise

    async def send(self, *command: Any) -> None:
        """Send a command whose reply `receive` will return."""
        self._require_open()
        try:
            async with asyncio.timeout(REPLY_SECONDS):
                await self._connection.send_packed_command(
                    self._connection.pack_commands([command]), check_health=False
                )
        except LOST as exc:
            await self.close()
            raise translated(exc, self._target.peer, self._target) from exc

    def send_nowait(self, *command: Any) -> None:
        """Send a command without waiting. If the connection is lost, `receive` reports it, after what came before."""
        if not self.closed:
            self._connection._writer.writelines(self._connection.pack_commands([command]))

    async def receive(self, *, limit: int, seconds: float) -> list[Any]:
        """Wait for replies and return at most `limit`; `[]` after `seconds` of silence.

        Part of a large reply is no silence. Safe to cancel: what has arrived stays for the next call.
        """
        replies = self.drain(limit)
        try:
            while not replies:
                async with asyncio.timeout(seconds) as deadline:
                    await self._connection._parser.read_from_socket()
                replies = self.drain(limit)
        except TimeoutError as exc:
            # The kernel's ETIMEDOUT is a TimeoutError too: it means a dead connection, not silence.
            if deadline.expired():
                return []
            await self.close()
            raise translated(exc, self._target.peer, self._target) from exc
        except (*LOST, exceptions.RedisError) as exc:
            await self.close()
            raise translated(exc, self._target.peer, self._target) from exc
        return replies

    def drain(self, limit: int) -> list[Any]:
        """Return up to `limit` replies that have arrived, without waiting."""
        try:
            replies: list[Any] = self._connection._parser.drain(limit)
        except exceptions.RedisError as exc:  # not RESP
            self.cut()
            raise translated(exc, self._target.peer, self._target) from exc
        return replies

    async def close(self) -> None:
        """Close the socket; never raises or waits long."""
        await _abandon(self._connection)

    def cut(self) -> None:
        """Cut the socket: calls in progress raise UnavailableError."""
        _cut(self._connection)

    @property
    def closed(self) -> bool:
        """Whether the socket is gone."""
        return not self._connection.is_connected or self._connection._writer.transport.is_closing()

    async def replid(self) -> str:
        """Return the server's `master_replid`. Raises UnavailableError if it is not a master."""
        with reading_reply("INFO"):
            info = parse_info(await self.call("INFO", "replication"))
        read_info(info).require_primary()
        return info.get("master_replid", "")

    def _require_open(self) -> None:
        """Raise UnavailableError on a closed connection, where redis-py would reconnect."""
        if self.closed:
            raise UnavailableError("the connection to Redis is closed")

    async def _replies(self, number: int) -> list[Any]:
        """Wait for this many replies. Raises those that end a connection, such as that of a server that is loading."""
        replies = self.drain(number)
        while len(replies) < number:
            await self._connection._parser.read_from_socket()
            replies += self.drain(number - len(replies))
        for reply in replies:
            if isinstance(reply, exceptions.ConnectionError):
                raise reply
        return replies

    async def _reply(self) -> Any:
        try:
            return await self._connection.read_response(disconnect_on_error=False)
        except exceptions.ResponseError as exc:
            return exc


@contextlib.contextmanager
def reading_reply(what: str) -> Iterator[None]:
    """Raise UnavailableError if the reply to `what` cannot be read: another server than Redis answers."""
    try:
        yield
    except (TypeError, ValueError, LookupError, AttributeError) as exc:
        raise UnavailableError(f"{what}: an answer that Redis does not give ({type(exc).__name__}: {exc})") from exc


def converted(reply: Any, form: Any, what: str) -> Any:
    """Convert the reply to `what` to the type `form`, as msgspec does. Raises UnavailableError for another type."""
    with reading_reply(what):
        return msgspec.convert(reply, form)


def only_bytes(values: list[Any]) -> list[bytes]:
    """Return the values unchanged. Raises TypeError if one is not bytes."""
    if any(kind is not bytes for kind in set(map(type, values))):
        raise TypeError("a payload is not a string")
    return values


def parse_info(reply: bytes) -> dict[str, str]:
    """Read the reply of INFO."""
    lines = (line.partition(":") for line in reply.decode("utf-8", "replace").splitlines() if ":" in line)
    return {name: value for name, _, value in lines}


class _TlsConnection(Connection):
    """redis-py's connection with the sidecar's own TLS context, whose errors name an unusable file."""

    def __init__(self, context: ssl.SSLContext, **options: Any) -> None:
        super().__init__(**options)
        self._context = context

    def _connection_arguments(self) -> dict[str, Any]:
        return {**super()._connection_arguments(), "ssl": self._context}


def _prepared(target: RedisTarget, where: tuple[str, int]) -> Any:
    """Return a connection of redis-py that is not connected yet."""
    options: dict[str, Any] = {
        "db": target.db,
        "username": target.username or None,
        "password": _password(target) or None,
        "protocol": 2,  # redis-py 8.1 hands out closed connections under RESP3 (redis-py#4252)
        "retry": Retry(NoBackoff(), 0),
        "parser_class": _Parser,
        # Link has deadlines of its own: redis-py uses wait_for, which can swallow a cancellation (cpython#86296).
        "socket_timeout": None,
        "socket_connect_timeout": CONNECT_SECONDS,
        "socket_read_size": READ_BYTES,
        # No CLIENT SETINFO: since Redis 7.2 it needs a right of its own, and redis-py reads its version from a file,
        # which fails when no descriptors are left.
        "driver_info": None,
    }
    if target.kind == "unix":
        return UnixDomainSocketConnection(**options, path=target.path)
    options |= {"socket_keepalive": True, "socket_keepalive_options": KEEPALIVE, "host": where[0], "port": where[1]}
    return _TlsConnection(client_context(target), **options) if target.tls else Connection(**options)


def _password(target: RedisTarget) -> str:
    """Return the current password. Raises UnavailableError if its file cannot be read."""
    if not target.password_file:
        return target.password
    try:
        return read_secret(target.password_file)
    except ValueError as exc:
        raise UnavailableError(f"{target.setting('password_file')}: {exc}") from exc


def _cut(connection: Any) -> None:
    """Cut the socket. A graceful close would wait for the peer to read what is buffered and to end TLS."""
    if connection._writer is not None:
        connection._writer.transport.abort()


async def _abandon(connection: Any) -> None:
    _cut(connection)
    with contextlib.suppress(TimeoutError, exceptions.RedisError, OSError):
        await connection.disconnect(nowait=True)
