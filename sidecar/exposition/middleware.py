"""What every HTTP request passes: errors as JSON, then the rules of access, then a bounded body."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from sidecar.config import HttpConfig
from sidecar.errors import SidecarError
from sidecar.exposition.access import cross_site, host_allowed, token_matches

logger = logging.getLogger(__name__)

CLEAR = "/monitoring/metrics/clear"

# Probes of an orchestrator carry no token, and tell nothing.
OPEN_PATHS = frozenset({"/healthz", "/readyz", "/-/healthy", "/-/ready"})

# No endpoint reads a body, so who sends one slowly only holds a connection.
BODY_SECONDS = 5.0

PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, HEAD, POST",
    "Access-Control-Allow-Headers": "Authorization, Content-Type",
    "Access-Control-Max-Age": "600",
}

CODES = {
    400: ("bad_request", "the request is not valid HTTP"),
    404: ("not_found", "there is nothing at this path; GET / lists what there is"),
    405: ("method_not_allowed", "this path does not take this method"),
    413: ("too_large", "the body is too large; no endpoint reads one"),
}


class Problem(Exception):
    """An answer that is an error. It never leaves the HTTP server, so it is not in the tree of exceptions."""

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = headers or {}

    def response(self) -> web.Response:
        """Return it as the JSON every error has."""
        return json_response(
            {"error": {"code": self.code, "message": str(self)}}, status=self.status, headers=self.headers
        )


def json_response(document: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """Answer with JSON; `document` is anything msgspec encodes."""
    body = msgspec.json.encode(document)
    return web.Response(body=body, status=status, headers=headers, content_type="application/json")


def translate(exc: web.HTTPException) -> Problem:
    """Turn an error of aiohttp into ours, keeping the methods a 405 allows."""
    code, message = CODES.get(exc.status, ("error", exc.reason))
    return Problem(exc.status, code, message, {"Allow": exc.headers["Allow"]} if "Allow" in exc.headers else None)


@web.middleware
async def json_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every error with the same JSON; what is unforeseen is logged and says nothing outside."""
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
    """Read the body, which nobody needs, within a time and (by aiohttp) a size."""
    if request.can_read_body:
        try:
            async with asyncio.timeout(BODY_SECONDS):
                await request.read()
        except TimeoutError:
            response = Problem(408, "timeout", f"the body did not arrive within {BODY_SECONDS:g} s").response()
            response.force_close()
            return response
        except ConnectionError as exc:
            raise Problem(400, "bad_request", "the connection ended within the body") from exc
    return await handler(request)


def access_rules(config: HttpConfig, bound_host: str) -> Middleware:
    """Return the middleware that checks `Host`, preflights, other sites and tokens, in this order."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        host = request.headers.get("Host")
        if not host_allowed(host, bound_host, config.allowed_hosts):
            message = f"Host {host!r} is not a name of this server; list it in http.allowed_hosts if it is"
            raise Problem(421, "misdirected_request", message)
        if _is_preflight(request):
            return _preflight(request, config)
        if request.method not in ("GET", "HEAD") and cross_site(request.headers, config.cors_origins):
            raise Problem(403, "cross_site", "the request comes from another site's page; see http.cors_origins")
        _check_token(request, config)
        return await handler(request)

    return check


def response_headers(config: HttpConfig) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """Return the signal handler that adds what every answer carries, errors too."""

    async def add(request: web.Request, response: web.StreamResponse) -> None:
        response.headers["Server"] = "flash-sale-sidecar"
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Cache-Control"] = "no-store"
        if not config.cors_origins:
            return
        response.headers.add("Vary", "Origin")
        origin = request.headers.get("Origin")
        if origin in config.cors_origins:
            response.headers["Access-Control-Allow-Origin"] = origin

    return add


def _is_preflight(request: web.Request) -> bool:
    headers = request.headers
    return request.method == "OPTIONS" and "Origin" in headers and "Access-Control-Request-Method" in headers


def _preflight(request: web.Request, config: HttpConfig) -> web.Response:
    origin = request.headers["Origin"]
    if origin not in config.cors_origins:
        raise Problem(403, "origin_not_allowed", f"origin {origin!r} is not listed in http.cors_origins")
    return web.Response(status=204, headers=PREFLIGHT)


def _check_token(request: web.Request, config: HttpConfig) -> None:
    authorization = request.headers.get("Authorization")
    if request.path == CLEAR and request.method == "POST":
        if not config.admin_token:
            message = "clearing over HTTP is off: set http.admin_token, or run `sidecar clear` on the sidecar's machine"
            raise Problem(403, "clear_disabled", message)
        if not token_matches(config.admin_token, authorization):
            raise _unauthorized("http.admin_token")
    elif config.read_token and request.path not in OPEN_PATHS:
        tokens = (config.read_token, config.admin_token)
        if not any(token_matches(token, authorization) for token in tokens):
            raise _unauthorized("http.read_token")


def _unauthorized(setting: str) -> Problem:
    message = f"send `Authorization: Bearer <token>` with the token of {setting}"
    return Problem(401, "unauthorized", message, {"WWW-Authenticate": 'Bearer realm="flash-sale-sidecar"'})
