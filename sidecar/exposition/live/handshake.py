"""Who may connect to the WebSocket: host, origin, places, and the token or password where a handshake carries one."""

import asyncio
import socket
from base64 import urlsafe_b64decode
from collections.abc import Callable, Sequence
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from sidecar.config import WsConfig
from sidecar.exposition.access.guard import WRONG_SECONDS, Guard
from sidecar.exposition.access.rules import host_allowed, host_name

# Clients that have yet to authenticate; the other places are for those whose handshake carries the token.
MAX_STRANGERS = 100
# How long a client that has said goodbye, or broken the protocol, may keep the socket; the library waits for ever.
CLOSING_SECONDS = 1.0
SOCKET_IO = (
    "This is a plain WebSocket, which a Socket.IO client cannot speak: connect with `new WebSocket(url)` and send "
    '{"event":"subscribe-metrics"}.\n'
)


class Handshake:
    """Decide on every handshake."""

    def __init__(self, config: WsConfig, guard: Guard, *, host: str, taken: Callable[[], tuple[int, int]]) -> None:
        """`host` is bound; `taken` counts the clients, and those of them that have yet to authenticate."""
        self._config = config
        self._guard = guard
        self._host = host
        self._taken = taken

    async def refusal(self, connection: ServerConnection, request: Request) -> Response | None:
        """Return why a handshake is refused. From the look at the cap to `_serve` nothing waits, so it is exact."""
        assert isinstance(connection, Incoming)
        host, origin = only(request.headers, "Host"), only(request.headers, "Origin")
        if not host_allowed(host, self._host or "0.0.0.0", self._guard.http.allowed_hosts):
            self._guard.denied("websocket", "host", address(connection), host=host)
            return connection.respond(421, f"Host {host!r} is not served here; see the setting http.allowed_hosts.\n")
        if _is_socket_io(request.path):
            return connection.respond(400, SOCKET_IO)
        if "Origin" in request.headers and not origin_allowed(origin, host, self._config.origins):
            self._guard.denied("websocket", "origin", address(connection), origin=origin)
            text = f"Origin {origin!r} may not connect; its host name can be added to the setting ws.origins.\n"
            return connection.respond(403, text)
        return await self._stranger(connection, request) or self._full(connection)

    async def _stranger(self, connection: "Incoming", request: Request) -> Response | None:
        """Look who comes, and refuse him if he cannot say it later: a token may come in a message, a password not."""
        carried = (only(request.headers, "Authorization"), offered(request.headers))
        verdicts = [await self._guard.reads(one, address(connection)) for one in carried]
        connection.authorized = "right" in verdicts
        if connection.authorized:
            return None
        if "busy" in verdicts:
            self._guard.denied("websocket", "busy", address(connection))
            return connection.respond(429, "Too many logins are being checked; try again in a second.\n")
        if any(carried):
            self._guard.denied("websocket", "token", address(connection), sent="something wrong")
            await asyncio.sleep(WRONG_SECONDS)
        if self._guard.http.read_token:
            return None
        response = connection.respond(401, f"{self._guard.wanted}\n")
        response.headers["WWW-Authenticate"] = self._guard.challenge
        return response

    def _full(self, connection: "Incoming") -> Response | None:
        clients, strangers = self._taken()
        if clients >= self._config.max_clients:
            text = f"{clients} clients are connected; see ws.max_clients.\n"
        elif strangers >= MAX_STRANGERS and not connection.authorized:
            text = f"{strangers} clients have yet to authenticate; let the handshake carry the token.\n"
        else:
            return None
        self._guard.denied("websocket", "busy", address(connection))
        return connection.respond(503, text)


class Incoming(ServerConnection):
    """A connection of which it is known whether its handshake lets read, and whether it is over."""

    authorized = False
    ending: asyncio.TimerHandle | None = None
    lost = False
    has_room: Callable[[], None] | None = None  # called when there is room to write again

    def let_in(self) -> None:
        """Note that the handshake is over."""

    def cut(self) -> None:
        """End it at once. asyncio fails at one that was lost after it had been closed with something to send."""
        if not self.lost:
            self.transport.abort()


def tracked(connections: set[ServerConnection], send_buffer_bytes: int, *, handshakes: int) -> type[ServerConnection]:
    """Return a connection class that keeps the set of all open ones, and cuts the oldest of too many handshakes."""
    waiting: dict[ServerConnection, None] = {}

    class Tracked(Incoming):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            connections.add(self)
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer_bytes)
            if len(waiting) >= handshakes:
                oldest = next(iter(waiting))
                del waiting[oldest]
                oldest.transport.abort()
            waiting[self] = None

        def let_in(self) -> None:
            waiting.pop(self, None)

        def resume_writing(self) -> None:
            super().resume_writing()
            if self.has_room is not None:
                self.has_room()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.protocol.close_expected() and self.ending is None:
                self.ending = self.loop.call_later(CLOSING_SECONDS, self.cut)

        def connection_lost(self, exc: Exception | None) -> None:
            self.lost = True
            connections.discard(self)
            waiting.pop(self, None)
            if self.ending is not None:
                self.ending.cancel()
            super().connection_lost(exc)

    return Tracked


def _is_socket_io(path: str) -> bool:
    """Return whether a Socket.IO client asks. It would wait for a greeting of its own protocol until it times out."""
    parts = urlsplit(path)
    return parts.path.rstrip("/").endswith("/socket.io") or "EIO" in parse_qs(parts.query)


def address(connection: ServerConnection) -> str:
    """Return the address of the client."""
    return str((connection.remote_address or ("unknown",))[0])


def origin_allowed(origin: str | None, host: str | None, origins: Sequence[str]) -> bool:
    """Return whether pages of this origin may connect: its host name is listed or, without a list, that of `Host`."""
    try:
        name = urlsplit(origin or "").hostname
    except ValueError:
        return False
    welcome = {listed.strip("[]").lower() for listed in origins} if origins else {host_name(host or "")}
    return name is not None and name in welcome


def only(headers: Headers, name: str) -> str | None:
    """Return a header that came once."""
    values = headers.get_all(name)
    return values[0] if len(values) == 1 else None


def choose_bearer(connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """Echo the subprotocol that carries a token: a browser drops a connection that echoes none."""
    return next((name for name in offered if name.startswith("bearer.")), None)


def offered(headers: Headers) -> str | None:
    """Return the first token offered as a subprotocol, in the form of `Authorization`."""
    names = (name.strip() for value in headers.get_all("Sec-WebSocket-Protocol") for name in value.split(","))
    subprotocol = next((name for name in names if name.startswith("bearer.")), None)
    return None if subprotocol is None else f"Bearer {bearer(subprotocol)}"


def bearer(subprotocol: str | None) -> str:
    """Return the token in `bearer.<base64url>`; padding is optional, and is not a legal character there."""
    encoded = (subprotocol or "").removeprefix("bearer.")
    try:
        return urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
    except ValueError:
        return ""
