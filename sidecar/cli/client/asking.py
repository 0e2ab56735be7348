"""HTTP requests without a proxy, with bounds on the time and the size of an answer."""

import http.client
import io
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

MAX_ANSWER_BYTES = 64 << 20  # the history of an hour or the report of 1,000 products take a megabyte
PART_BYTES = 1 << 16


class Asker:
    """Send requests. A proxy from the environment is ignored: its 127.0.0.1 is another machine's."""

    def __init__(self) -> None:
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _Redirects)

    def fetch(self, request: urllib.request.Request, seconds: float) -> tuple[int, bytes]:
        """Return status and body. `seconds` limits each read of the answer, and the whole of it.

        Raises OSError or `http.client.HTTPException`.
        """
        try:
            with self._opener.open(request, timeout=seconds) as answer:
                return answer.status, _read(answer, seconds)
        except urllib.error.HTTPError as exc:
            with exc:
                return exc.code, _read(exc, seconds)


def is_http(url: str) -> bool:
    """Return whether the URL has a host and a valid port."""
    try:
        parts = urllib.parse.urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # the port is invalid
        return False


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follow a redirect without reading its body, which may never end."""

    def http_error_302(self, req: Any, fp: Any, code: int, msg: str, headers: Any) -> Any:
        fp.close()
        return super().http_error_302(req, io.BytesIO(), code, msg, headers)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def _read(answer: Any, seconds: float) -> bytes:
    """Return the whole answer. Raises OSError if it does not end in time, or is too long for a daemon's."""
    deadline, found = time.monotonic() + seconds, b""
    while part := answer.read1(PART_BYTES):
        found += part
        if time.monotonic() > deadline:
            raise TimeoutError(f"its answer did not end within {seconds:.0f} s")
        if len(found) > MAX_ANSWER_BYTES:
            raise OSError(f"its answer is longer than {MAX_ANSWER_BYTES >> 20} MiB")
    if answer.length:
        raise http.client.IncompleteRead(found, answer.length)
    return found
