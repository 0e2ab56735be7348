"""An answer that is an error, as JSON like every other answer."""

from typing import Any

import msgspec
from aiohttp import web

# What every answer carries; aiohttp would name itself and its version.
ALWAYS = {"Server": "flash-sale-sidecar", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}

CODES = {
    400: ("bad_request", "the request is not valid HTTP"),
    404: ("not_found", "there is nothing at this path; GET / lists what there is"),
    405: ("method_not_allowed", "this path does not take this method"),
    413: ("too_large", "the body is too large; no endpoint reads one"),
}


class Problem(Exception):
    """An answer that is an error. It never leaves the HTTP server, so it is not in the tree of exceptions."""

    def __init__(
        self, status: int, code: str, message: str, headers: dict[str, str] | None = None, *, close: bool = False
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = headers or {}
        self.close = close

    def response(self) -> web.Response:
        """Return it as the JSON every error has."""
        document = {"error": {"code": self.code, "message": str(self)}}
        response = json_response(document, status=self.status, headers=self.headers)
        if self.close:
            response.force_close()
        return response


def json_response(document: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """Answer with JSON; `document` is anything msgspec encodes."""
    body = msgspec.json.encode(document)
    return web.Response(body=body, status=status, headers=headers, content_type="application/json")


def translate(exc: web.HTTPException) -> Problem:
    """Turn an error of aiohttp into ours, keeping the methods a 405 allows."""
    code, message = CODES.get(exc.status, ("error", exc.reason))
    return Problem(exc.status, code, message, {"Allow": exc.headers["Allow"]} if "Allow" in exc.headers else None)
