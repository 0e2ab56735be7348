"""Where -> what a command shows. Both readers return the JSON of the HTTP API as plain Python values."""

import asyncio
import http.client
import json
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from sidecar.cli.client.asking import Asker, is_http
from sidecar.cli.client.unanswered import advice
from sidecar.cli.options import DEFAULT_URL, Where
from sidecar.errors import AccessError, ConfigError, SidecarError, UnavailableError

if TYPE_CHECKING:
    from sidecar.config import Config
    from sidecar.core.events.sale_event import Action

HTTP_SECONDS = 5.0
Document = dict[str, Any]


class Reader(Protocol):
    """What commands read and change. Every method opens and closes what it needs, and raises `SidecarError`."""

    def snapshot(self) -> Document:
        """Return the JSON of `GET /monitoring/metrics`."""
        ...

    def health(self) -> Document:
        """Return the JSON of `GET /monitoring/health`; empty if no daemon is asked."""
        ...

    def report(self) -> Document:
        """Return the JSON of `GET /monitoring/benchmark`."""
        ...

    def history(self, grid: Mapping[str, str]) -> Document:
        """Return the JSON of `GET /monitoring/history` for these `from`, `to` and `step`: every metric by name."""
        ...

    def rejected(self, limit: int) -> list[Document]:
        """Return the newest rejected payloads: time, source, reason, detail, payload."""
        ...

    def clear(self) -> Document:
        """Clear the metrics and return the value of `cleared`."""
        ...

    def announce(self, action: "Action", id: str | None) -> Document | None:
        """Announce that a sale starts or stops; return the sale, or `None` if no sidecar counts now."""
        ...


def reader(where: Where) -> Reader:
    """Choose by the flags; by default it is the daemon at the default address."""
    if where.names_redis:
        return RedisReader(where.config())
    return HttpReader(where.url or DEFAULT_URL, where.token)


class HttpReader:
    """Ask a running daemon."""

    def __init__(self, url: str, token: str | None) -> None:
        if not is_http(url):
            raise ConfigError("--url must be http:// or https:// with a host, as in http://127.0.0.1:9850")
        self._url = url.rstrip("/")
        self._token = token
        self._asker = Asker()

    def snapshot(self) -> Document:
        from sidecar.core.snapshot.snapshot import Snapshot

        return self._ask("GET", "/monitoring/metrics", Snapshot)

    def health(self) -> Document:
        from sidecar.cli.client.answers import HealthAnswer

        return self._ask("GET", "/monitoring/health", HealthAnswer, also=http.HTTPStatus.SERVICE_UNAVAILABLE)

    def report(self) -> Document:
        from sidecar.cli.client.answers import ReportAnswer

        return self._ask("GET", "/monitoring/benchmark", ReportAnswer)

    def history(self, grid: Mapping[str, str]) -> Document:
        from sidecar.cli.client.answers import Points

        return self._ask("GET", f"/monitoring/history?{urllib.parse.urlencode(grid)}", dict[str, Points])

    def rejected(self, limit: int) -> list[Document]:
        from sidecar.cli.client.answers import RejectedAnswer

        found: list[Document] = self._ask("GET", f"/monitoring/rejected?limit={limit}", RejectedAnswer)["rejected"]
        return found

    def clear(self) -> Document:
        from sidecar.cli.client.answers import Clear

        cleared: Document = self._ask("POST", "/monitoring/metrics/clear", Clear)["cleared"]
        return cleared

    def announce(self, action: "Action", id: str | None) -> Document | None:
        from sidecar.cli.client.answers import Sales

        found: Document = self._ask("POST", f"/monitoring/sales/{id or 'current'}/{action}", Sales)["sale"]
        return found

    def _ask(self, method: str, path: str, form: Any, *, also: int = http.HTTPStatus.OK) -> Document:
        """Return the answer if it fits the type `form`; a later version may add fields.

        `also` is a status that is as good as 200.
        """
        import msgspec

        request = urllib.request.Request(self._url + path, method=method, headers={"Accept": "application/json"})
        if self._token:
            request.add_unredirected_header("Authorization", f"Bearer {self._token}")
        try:
            status, body = self._asker.fetch(request, HTTP_SECONDS)
        except (OSError, http.client.HTTPException) as exc:
            reason = getattr(exc, "reason", exc)
            raise UnavailableError(f"no daemon answers at {self._url} ({reason}): {advice(exc, self._url)}") from exc
        if status not in (http.HTTPStatus.OK, also):
            raise _error(self._url, status, body)
        try:
            document: Document = json.loads(body)
            msgspec.convert(document, form)
        except (ValueError, RecursionError) as exc:
            raise UnavailableError(f"what answers at {self._url} is not the sidecar: check --url ({exc})") from exc
        return document


def _error(url: str, status: int, body: bytes) -> SidecarError:
    """Return the exception for an error answer, with the daemon's own message if it has one."""
    if status == http.HTTPStatus.UNAUTHORIZED:
        return AccessError(f"{url} wants a token: set SIDECAR_HTTP_READ_TOKEN or SIDECAR_HTTP_ADMIN_TOKEN, or --token")
    if status == http.HTTPStatus.UPGRADE_REQUIRED:
        return ConfigError(f"{url} is a WebSocket: --url wants the port of HTTP, by default {DEFAULT_URL}")
    try:
        message = json.loads(body)["error"]["message"]
    except (ValueError, LookupError, TypeError):
        return UnavailableError(f"{url} answers with HTTP {status}: check that --url is the sidecar's")
    if status == http.HTTPStatus.SERVICE_UNAVAILABLE:
        message = f"{message}; --redis-url or --config read what is committed"
    # Not ready yet, or Redis is gone: the next answer may be better.
    kind = UnavailableError if status == http.HTTPStatus.SERVICE_UNAVAILABLE else SidecarError
    return kind(f"{url}: {message}")


class RedisReader:
    """Read what the sidecar committed to Redis; no daemon needs to run."""

    def __init__(self, config: "Config") -> None:
        self._config = config

    def snapshot(self) -> Document:
        import msgspec

        from sidecar.cli.client import stored

        document: Document = msgspec.to_builtins(asyncio.run(stored.read(self._config)).public())
        return document

    def health(self) -> Document:
        """Return nothing: only the daemon knows its health."""
        return {}

    def report(self) -> Document:
        from sidecar.cli.client import stored
        from sidecar.exposition import documents

        return documents.report(asyncio.run(stored.read(self._config)))

    def history(self, grid: Mapping[str, str]) -> Document:
        from sidecar.cli.client import stored

        return asyncio.run(stored.history(self._config, grid))

    def rejected(self, limit: int) -> list[Document]:
        import msgspec

        from sidecar.cli.client import stored

        return [msgspec.to_builtins(one) for one in asyncio.run(stored.rejected(self._config, limit))]

    def clear(self) -> Document:
        from sidecar.cli.client import stored

        return asyncio.run(stored.clear(self._config))

    def announce(self, action: "Action", id: str | None) -> Document | None:
        import msgspec

        from sidecar.cli.client import stored

        sale = asyncio.run(stored.announce(self._config, action, id))
        return None if sale is None else msgspec.to_builtins(sale)
