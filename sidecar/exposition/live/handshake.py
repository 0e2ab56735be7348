"""Who may connect to the WebSocket: by host, origin, number of clients, and token or password in the handshake."""

import asyncio
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
from sidecar.exposition.live.connection import Incoming, address

# Clients that have yet to authenticate; the rest of ws.max_clients is for those whose handshake has the token.
MAX_UNAUTHORIZED = 100
SOCKET_IO = (
    "This is a plain WebSocket, which a Socket.IO client cannot speak: connect with `new WebSocket(url)` and send "
    '{"event":"subscribe-metrics"}.\n'
)


class Handshake:
    """Decides about every handshake."""

    def __init__(self, config: WsConfig, guard: Guard, *, host: str, taken: Callable[[], tuple[int, int]]) -> None:
        """`host` is the bound one; `taken` returns the number of clients, and of those yet to authenticate."""
        self._config = config
        self._guard = guard
        self._host = host
        self._taken = taken

    async def denial(self, connection: ServerConnection, request: Request) -> Response | None:
        """Return the denial of a handshake, if any. Nothing awaits between this and `_serve`, so limits are exact."""
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
        return await self._authorize(connection, request) or self._full(connection)

    async def _authorize(self, connection: Incoming, request: Request) -> Response | None:
        """Check token or password; deny a client that cannot authenticate later, by a token in a message."""
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

    def _full(self, connection: Incoming) -> Response | None:
        clients, unauthorized = self._taken()
        if clients >= self._config.max_clients:
            text = f"{clients} clients are connected; see ws.max_clients.\n"
        elif unauthorized >= MAX_UNAUTHORIZED and not connection.authorized:
            text = f"{unauthorized} clients have yet to authenticate; send the token with the handshake.\n"
        else:
            return None
        self._guard.denied("websocket", "busy", address(connection))
        return connection.respond(503, text)


def _is_socket_io(path: str) -> bool:
    """Return whether it is a Socket.IO client, which would wait for its own protocol until it times out."""
    parts = urlsplit(path)
    return parts.path.rstrip("/").endswith("/socket.io") or "EIO" in parse_qs(parts.query)


def origin_allowed(origin: str | None, host: str | None, origins: Sequence[str]) -> bool:
    """Return whether pages of this origin may connect: its host name is listed or, without a list, that of `Host`."""
    try:
        name = urlsplit(origin or "").hostname
    except ValueError:
        return False
    welcome = {listed.strip("[]").lower() for listed in origins} if origins else {host_name(host or "")}
    return name is not None and name in welcome


def only(headers: Headers, name: str) -> str | None:
    """Return a header, `None` if it is missing or repeated."""
    values = headers.get_all(name)
    return values[0] if len(values) == 1 else None


def choose_bearer(connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """Choose the subprotocol with a token: a browser drops a connection that echoes none."""
    return next((name for name in offered if name.startswith("bearer.")), None)


def offered(headers: Headers) -> str | None:
    """Return the first token offered as a subprotocol, in the form of `Authorization`."""
    names = (name.strip() for value in headers.get_all("Sec-WebSocket-Protocol") for name in value.split(","))
    subprotocol = next((name for name in names if name.startswith("bearer.")), None)
    return None if subprotocol is None else f"Bearer {bearer(subprotocol)}"


def bearer(subprotocol: str | None) -> str:
    """Return the token in `bearer.<base64url>`, with or without padding, which is illegal there."""
    encoded = (subprotocol or "").removeprefix("bearer.")
    try:
        return urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
    except ValueError:
        return ""
