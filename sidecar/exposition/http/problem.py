"""Error answers, as JSON like all others."""

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


def translate(exc: web.HTTPException) -> Problem:
    """Convert an error of aiohttp, keeping the allowed methods of a 405."""
    code, message = CODES.get(exc.status, ("error", exc.reason))
    return Problem(exc.status, code, message, {"Allow": exc.headers["Allow"]} if "Allow" in exc.headers else None)
