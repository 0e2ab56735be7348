"""The middlewares, in order: errors as JSON, rules of access, bounded bodies."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from sidecar.errors import SidecarError
from sidecar.exposition.access.guard import ADMIN_WANTED, BEARER, WRONG_SECONDS, Guard, preflight
from sidecar.exposition.access.rules import cross_site, host_allowed
from sidecar.exposition.http.connections import Connection
from sidecar.exposition.http.problem import ALWAYS, Problem, translate
from sidecar.exposition.page.files import FOLDER
from sidecar.exposition.prometheus.negotiation import wants_html

logger = logging.getLogger(__name__)

CLEAR = "/monitoring/metrics/clear"
SALES = "/monitoring/sales/"

# Probes of an orchestrator have no token; these paths reveal nothing.
OPEN_PATHS = frozenset({"/healthz", "/readyz", "/-/healthy", "/-/ready"})

# Sending a body slowly only keeps a connection busy.
BODY_SECONDS = 5.0

METHODS = "GET, HEAD, POST, PUT, DELETE"


@web.middleware
async def json_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every error with JSON of one form; unexpected errors are logged, and reveal nothing to clients."""
    try:
        return await handler(request)
    except Problem as exc:
        return exc.response()
    except web.HTTPException as exc:
        return translate(exc).response()
    except SidecarError as exc:
        return Problem(503, "unavailable", str(exc)).response()
    except Exception:
        logger.exception("%s %s failed", request.method, request.path)
        return Problem(500, "internal", "the sidecar failed to answer this; its log says why").response()


@web.middleware
async def bounded_body(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Read the body, which few endpoints need, with a deadline and (by aiohttp) a limit of its size."""
    if request.can_read_body:
        try:
            async with asyncio.timeout(BODY_SECONDS):
                await request.read()
        except TimeoutError:
            message = f"the body did not arrive within {BODY_SECONDS:g} s"
            raise Problem(408, "timeout", message, close=True) from None
        except ConnectionError as exc:
            raise Problem(400, "bad_request", "the connection ended within the body") from exc
    return await handler(request)


def access_rules(guard: Guard, bound_host: str, apart: Collection[str] = ()) -> Middleware:
    """Return the middleware that checks `Host`, preflights, cross-site requests and authorization, in this order.

    Handlers of the paths that are `apart` have checks of their own.
    """

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path not in apart:
            answer = await _check(request, guard, bound_host)
            if answer is not None:
                return answer
        if isinstance(request.protocol, Connection):
            request.protocol.allow()
        return await handler(request)

    return check


async def _check(request: web.Request, guard: Guard, bound_host: str) -> web.Response | None:
    """Raise a Problem if the request is not allowed; return the answer to a preflight."""
    host = request.headers.get("Host")
    # Health checks of proxies send HTTP/1.0 without a Host. No browser does, so no page can be the sender.
    if host is not None and not host_allowed(host, bound_host, guard.http.allowed_hosts):
        guard.denied("http", "host", _address(request), host=host)
        message = f"Host {host!r} is not a name of this server; list it in http.allowed_hosts if it is"
        raise Problem(421, "misdirected_request", message)
    if _is_preflight(request):
        return _preflight(request, guard)
    if request.method not in ("GET", "HEAD") and cross_site(request.headers, guard.http.cors_origins):
        guard.denied("http", "origin", _address(request), origin=request.headers.get("Origin"))
        raise Problem(403, "cross_site", "the request comes from another site's page; see http.cors_origins")
    await _check_authorization(request, guard)
    return None


def response_headers(guard: Guard) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """Return the signal handler that adds headers to every answer, errors included."""

    async def add(request: web.Request, response: web.StreamResponse) -> None:
        response.headers.update(ALWAYS)
        if "ETag" in response.headers:
            response.headers["Cache-Control"] = (
                "no-cache"  # a cache may keep it, but has to ask whether it is the newest
            )
        response.headers.update(guard.headers)
        if not guard.http.cors_origins:
            return
        response.headers.add("Vary", "Origin")
        origin = request.headers.get("Origin")
        if origin in guard.http.cors_origins:
            response.headers["Access-Control-Allow-Origin"] = origin

    return add


def wants_page(request: web.Request) -> bool:
    """Return whether the answer is a file of the page, which holds no numbers and asks for the token itself."""
    if request.path == "/":
        return wants_html(",".join(request.headers.getall("Accept", [])))
    return request.path.startswith(FOLDER)


def _is_preflight(request: web.Request) -> bool:
    headers = request.headers
    return request.method == "OPTIONS" and "Origin" in headers and "Access-Control-Request-Method" in headers


def _preflight(request: web.Request, guard: Guard) -> web.Response:
    origin = request.headers["Origin"]
    if origin not in guard.http.cors_origins:
        guard.denied("http", "origin", _address(request), origin=origin)
        raise Problem(403, "origin_not_allowed", f"origin {origin!r} is not listed in http.cors_origins")
    return web.Response(status=204, headers=preflight(METHODS))


async def _check_authorization(request: web.Request, guard: Guard) -> None:
    given = request.headers.getall("Authorization", [])
    authorization = given[0] if len(given) == 1 else None
    changes = request.method not in ("GET", "HEAD")
    if changes and (request.path == CLEAR or request.path.startswith(SALES)):
        if not guard.http.admin_token:
            raise _disabled(request.path)
        if not guard.administers(authorization):
            raise await _denial(request, guard, ADMIN_WANTED, BEARER)
    elif request.path not in OPEN_PATHS and not wants_page(request):
        verdict = await guard.reads(authorization, _address(request))
        if verdict == "busy":
            guard.denied("http", "busy", _address(request))
            raise Problem(429, "too_many_attempts", "too many logins are being checked", {"Retry-After": "1"})
        if verdict == "wrong":
            raise await _denial(request, guard, guard.wanted, guard.challenge)


def _disabled(path: str) -> Problem:
    code, what, command = ("clear_disabled", "clearing", "clear")
    if path != CLEAR:
        code, what, command = ("sale_disabled", "starting and stopping a sale", "sale")
    message = f"{what} over HTTP is off: set http.admin_token, or run `sidecar {command}` on the sidecar's machine"
    return Problem(403, code, message)


async def _denial(request: web.Request, guard: Guard, wanted: str, challenge: str) -> Problem:
    """Return a 401; after a wrong token or password it is delayed, and the connection closes."""
    guesses = "Authorization" in request.headers
    guard.denied("http", "token", _address(request), sent="something wrong" if guesses else "nothing")
    if guesses:
        await asyncio.sleep(WRONG_SECONDS)
    return Problem(401, "unauthorized", wanted, {"WWW-Authenticate": challenge}, close=guesses)


def _address(request: web.Request) -> str:
    return request.remote or "unknown"
