"""Error answers, as JSON like all others, and answers to clients that know what they would get."""

from collections.abc import Mapping
from hashlib import blake2b
from types import MappingProxyType
from typing import Any

import msgspec
from aiohttp import web

# Headers of every answer; aiohttp would reveal its name and version.
ALWAYS = {"Server": "flash-sale-sidecar", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}

CODES = {
    400: ("bad_request", "the request is not valid HTTP"),
    404: ("not_found", "there is nothing at this path; GET / lists all paths"),
    405: ("method_not_allowed", "this path does not take this method"),
    413: ("too_large", "the body is too large; no endpoint reads one"),
}


class Problem(Exception):
    """An error answer. It never leaves the HTTP server, so it is no SidecarError."""

    def __init__(
        self, status: int, code: str, message: str, headers: dict[str, str] | None = None, *, close: bool = False
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = headers or {}
        self.close = close

    def response(self) -> web.Response:
        """Return the answer in the JSON of all errors."""
        document = {"error": {"code": self.code, "message": str(self)}}
        response = json_response(document, status=self.status, headers=self.headers)
        if self.close:
            response.force_close()
        return response


def json_response(document: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """Return an answer with JSON; `document` is anything that msgspec encodes."""
    body = msgspec.json.encode(document)
    return web.Response(body=body, status=status, headers=headers, content_type="application/json")


def hashed(request: web.Request, document: Any) -> web.Response:
    """Return an answer with JSON, or that the client knows it already."""
    body = msgspec.json.encode(document)
    tag = f'"{blake2b(body, digest_size=8).hexdigest()}"'
    if is_known(request, tag):
        return not_modified(tag)
    return web.Response(body=body, headers={"ETag": tag}, content_type="application/json")


def is_known(request: web.Request, tag: str) -> bool:
    """Return whether the client has what this `ETag` names. A proxy that compresses makes strong ones weak."""
    opaque = tag.removeprefix("W/").strip('"')
    return any(one.value in (opaque, "*") for one in request.if_none_match or ())


def not_modified(tag: str, headers: Mapping[str, str] = MappingProxyType({})) -> web.Response:
    """Return the answer to a client that has what this `ETag` names."""
    return web.Response(status=304, headers={"ETag": tag, **headers})


def translate(exc: web.HTTPException) -> Problem:
    """Convert an error of aiohttp, keeping the allowed methods of a 405."""
    code, message = CODES.get(exc.status, ("error", exc.reason))
    return Problem(exc.status, code, message, {"Allow": exc.headers["Allow"]} if "Allow" in exc.headers else None)
