"""Socket.IO on a path of the HTTP server, if the extra `socketio` is installed."""

from typing import TYPE_CHECKING

from aiohttp import web

from sidecar.exposition.live.clients import LiveClients
from sidecar.exposition.live.handshake import Denial
from sidecar.exposition.live.upgrade import denied

if TYPE_CHECKING:
    from sidecar.exposition.live.engine import SocketIo

PATH = "/socket.io/"
MISSING = "Socket.IO needs the extra `socketio`: pip install 'flash-sale-sidecar[socketio]'; GET /ws is a WebSocket"


def socket_io(clients: LiveClients, host: str) -> "SocketIo | NoSocketIo":
    """Return what serves Socket.IO; `host` is the one that the HTTP server is bound to."""
    try:
        from sidecar.exposition.live.engine import SocketIo
    except ModuleNotFoundError:
        return NoSocketIo()
    return SocketIo(PATH, clients, host)


class NoSocketIo:
    """Says what is missing."""

    def routes(self) -> list[web.RouteDef]:
        """List the path with its handler."""
        return [web.get(PATH, self._refuse), web.post(PATH, self._refuse)]

    async def stop(self) -> None:
        """Do nothing."""

    async def _refuse(self, request: web.Request) -> web.Response:
        return denied(Denial(400, "socketio_missing", MISSING))
