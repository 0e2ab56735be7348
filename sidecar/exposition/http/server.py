"""The HTTP server: start, address, and stop within a bounded time."""

import asyncio
import functools
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from aiohttp import web
from yarl import URL

from sidecar.exposition.access.guard import Guard
from sidecar.exposition.access.listen import cannot_listen, parse_listen, where
from sidecar.exposition.access.tls import listening
from sidecar.exposition.http.connections import MAX_CONNECTIONS, Connection, OpenConnections
from sidecar.exposition.http.endpoints import Endpoints
from sidecar.exposition.http.middleware import access_rules, bounded_body, json_errors, response_headers
from sidecar.exposition.prometheus.render import Exposition
from sidecar.exposition.published import Latest, Monitor

SETTING = "http.listen"

# aiohttp treats an idle connection and one that sends headers slowly alike; both have this deadline.
HEADER_SECONDS = 10.0

# How long to read and drop what a client still sends after the answer, so that it can read the answer.
LINGER_SECONDS = 1.0
MAX_BODY_BYTES = 4096
# asyncio accepts this many connections in one iteration. It is a fifth of the limit, so that the request of a new
# connection is read before a crowd can replace it.
BACKLOG = 100

# aiohttp waits this long twice, for the answer and for the connection; a shutdown as a whole has 2 s.
STOP_SECONDS = 0.5


class LivePath(Protocol):
    """Something that serves live updates on paths of the server, and decides itself who may connect."""

    def routes(self) -> list[web.RouteDef]:
        """List the paths with their handlers."""
        ...

    async def stop(self) -> None:
        """Close all its connections."""
        ...


class HttpServer:
    """Serve the Snapshot of `latest` and the answers of `monitor`; started and stopped once."""

    def __init__(
        self,
        listen: str,
        *,
        guard: Guard,
        latest: Latest,
        monitor: Monitor,
        exposition: Exposition,
        ws_url: str = "",
        live: Sequence[LivePath] = (),
    ) -> None:
        self._listen = listen
        self._live = live
        self._guard = guard
        self._endpoints = Endpoints(latest=latest, monitor=monitor, exposition=exposition, ws_url=ws_url)
        self._runner: web.AppRunner | None = None
        self._listener: asyncio.Server | None = None

    @property
    def address(self) -> tuple[str, int]:
        """The host and the port that it listens on, after `start`."""
        assert self._listener is not None
        host, port = self._listener.sockets[0].getsockname()[:2]
        return host, port

    async def start(self) -> None:
        """Listen. Raises SidecarError if that fails."""
        host, port = parse_listen(self._listen, SETTING)
        self._runner = web.AppRunner(self._application(host), shutdown_timeout=STOP_SECONDS)
        await self._runner.setup()
        assert self._runner.server is not None
        self._runner.server.request_factory = functools.partial(_request, self._runner.server.request_factory)
        loop = asyncio.get_running_loop()
        settings = {"loop": loop, "connections": OpenConnections(MAX_CONNECTIONS), **_protocol_settings()}
        protocol = functools.partial(Connection, self._runner.server, **settings)
        try:
            self._listener = await loop.create_server(
                protocol, **where(host, port), backlog=BACKLOG, **listening(self._guard.tls)
            )
        except OSError as exc:
            await self._runner.cleanup()
            raise cannot_listen(self._listen, SETTING, exc) from exc

    async def stop(self) -> None:
        """Close the listener, let answers in progress finish within `STOP_SECONDS`, then close connections."""
        if self._listener is None or self._runner is None:
            return
        self._listener.close()
        await self._runner.cleanup()

    def _application(self, host: str) -> web.Application:
        live = [route for path in self._live for route in path.routes()]
        access = access_rules(self._guard, host, {route.path for route in live})
        application = web.Application(middlewares=(json_errors, access, bounded_body), client_max_size=MAX_BODY_BYTES)
        application.on_response_prepare.append(response_headers(self._guard))
        application.add_routes([*self._endpoints.routes(), *live])
        application.on_shutdown.append(self._close_live)
        return application

    async def _close_live(self, application: web.Application) -> None:
        await asyncio.gather(*(path.stop() for path in self._live))


def _request(make: Callable[..., web.BaseRequest], message: Any, *rest: Any) -> web.BaseRequest:
    """Make a request. aiohttp's parser accepts a CONNECT without a target, on which aiohttp then fails."""
    return make(message._replace(url=URL("/")) if message.url is None else message, *rest)


def _protocol_settings() -> dict[str, Any]:
    return {
        "keepalive_timeout": HEADER_SECONDS,
        "lingering_time": LINGER_SECONDS,
        "access_log": None,
        # Nobody reads bodies, and a compressed one may be a bomb.
        "auto_decompress": False,
    }
