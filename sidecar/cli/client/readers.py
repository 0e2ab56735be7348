"""Where -> what a command shows. Both readers return the JSON of the HTTP API as plain Python values."""

import asyncio
import http.client
import json
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol, TypeVar

from sidecar.cli.client.asking import Asker, is_http
from sidecar.cli.client.unanswered import advice
from sidecar.cli.options import DEFAULT_URL, Where
from sidecar.errors import AccessError, ConfigError, SidecarError, UnavailableError

if TYPE_CHECKING:
    from sidecar.cli.client.answers import HealthAnswer, Points, StatusCounts
    from sidecar.config import Config
    from sidecar.core.counts.pending import RejectedEvent
    from sidecar.core.counts.sale import Details, Sale, SaleCommand
    from sidecar.core.sale.listing import ListedSale
    from sidecar.core.snapshot.report import Report
    from sidecar.core.snapshot.snapshot import Snapshot

HTTP_SECONDS = 5.0
T = TypeVar("T")


class Reader(Protocol):
    """What commands read and change. Every method opens and closes what it needs, and raises `SidecarError`."""

    def snapshot(self) -> "Snapshot":
        """Return what `GET /monitoring/metrics` shows."""
        ...

    def health(self) -> "HealthAnswer | None":
        """Return the JSON of `GET /monitoring/health`; `None` if no daemon is asked."""
        ...

    def report(self) -> "Report":
        """Return what `GET /monitoring/benchmark` shows."""
        ...

    def history(self, grid: Mapping[str, str]) -> "dict[str, Points]":
        """Return what `GET /monitoring/history` shows for these `from`, `to` and `step`: every metric by name."""
        ...

    def rejected(self, limit: int) -> "list[RejectedEvent]":
        """Return the newest rejected payloads."""
        ...

    def clear(self) -> "StatusCounts":
        """Clear the metrics and return the orders there were."""
        ...

    def clear_metric(self, name: str) -> None:
        """Clear one custom metric."""
        ...

    def announce(self, action: "SaleCommand", id: str | None, details: "Details | None" = None) -> "Sale | None":
        """Say something of a sale; return the present sale, or `None` if no sidecar counts now."""
        ...

    def load(self, text: bytes, details: "Details") -> bool:
        """Store a manifest, given as text and as what it says; return whether a sidecar took it."""
        ...

    def sales(self) -> "list[ListedSale]":
        """Return all sales, the newest first."""
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

    def snapshot(self) -> "Snapshot":
        from sidecar.core.snapshot.snapshot import Snapshot

        return self._ask("GET", "/monitoring/metrics", Snapshot)

    def health(self) -> "HealthAnswer | None":
        from sidecar.cli.client.answers import HealthAnswer

        return self._ask("GET", "/monitoring/health", HealthAnswer, also=http.HTTPStatus.SERVICE_UNAVAILABLE)

    def report(self) -> "Report":
        from sidecar.core.snapshot.report import Report

        return self._ask("GET", "/monitoring/benchmark", Report)

    def history(self, grid: Mapping[str, str]) -> "dict[str, Points]":
        from sidecar.cli.client.answers import Points

        return self._ask("GET", f"/monitoring/history?{urllib.parse.urlencode(grid)}", dict[str, Points])

    def rejected(self, limit: int) -> "list[RejectedEvent]":
        from sidecar.cli.client.answers import RejectedAnswer

        return self._ask("GET", f"/monitoring/rejected?limit={limit}", RejectedAnswer).rejected

    def clear(self) -> "StatusCounts":
        from sidecar.cli.client.answers import Clear

        return self._ask("POST", "/monitoring/metrics/clear", Clear).cleared.orders.by_status

    def clear_metric(self, name: str) -> None:
        from sidecar.cli.client.answers import ClearMetric

        self._ask("POST", f"/monitoring/metrics/clear?{urllib.parse.urlencode({'metric': name})}", ClearMetric)

    def announce(self, action: "SaleCommand", id: str | None, details: "Details | None" = None) -> "Sale | None":
        import msgspec

        from sidecar.cli.client.answers import Sales

        body: dict[str, object] = {}
        if details is not None and action == "mark":
            body = {"text": details.text, "at": details.at}
        elif details is not None:
            body = {"product_id": details.product_id, "units": details.units}
        path = f"/monitoring/sales/{id or 'current'}"
        if action == "delete":
            return self._ask("DELETE", path, Sales).sale
        rest = {"mark": "marks", "restock": "restocks"}.get(action, action)
        return self._ask("POST", f"{path}/{rest}", Sales, body=msgspec.json.encode(body) if body else None).sale

    def load(self, text: bytes, details: "Details") -> bool:
        from sidecar.cli.client.answers import OneSale

        assert details.manifest is not None
        path = f"/monitoring/sales/{details.manifest.sale}?replace={int(details.replace)}"
        self._ask("PUT", path, OneSale, body=text)
        return True

    def sales(self) -> "list[ListedSale]":
        from sidecar.cli.client.answers import ListedSales, OneSale

        found = self._ask("GET", "/monitoring/sales", ListedSales).sales
        return [self._ask("GET", f"/monitoring/sales/{one.id or 'current'}", OneSale).sale for one in found]

    def _ask(
        self, method: str, path: str, form: type[T], *, also: int = http.HTTPStatus.OK, body: bytes | None = None
    ) -> T:
        """Return the answer as `form`. A later version may have more fields, and an older one lack some.

        `also` is a status that is as good as 200.
        """
        import msgspec

        headers = {"Accept": "application/json"} | ({"Content-Type": "application/json"} if body else {})
        request = urllib.request.Request(self._url + path, body, method=method, headers=headers)
        if self._token:
            request.add_unredirected_header("Authorization", f"Bearer {self._token}")
        try:
            status, answer = self._asker.fetch(request, HTTP_SECONDS)
        except (OSError, http.client.HTTPException) as exc:
            reason = getattr(exc, "reason", exc)
            raise UnavailableError(f"no daemon answers at {self._url} ({reason}): {advice(exc, self._url)}") from exc
        if status not in (http.HTTPStatus.OK, also):
            raise _error(self._url, status, answer)
        try:
            return msgspec.json.decode(answer, type=form)
        except (ValueError, RecursionError) as exc:
            raise UnavailableError(f"what answers at {self._url} is not the sidecar: check --url ({exc})") from exc


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

    def snapshot(self) -> "Snapshot":
        from sidecar.cli.client import stored

        return asyncio.run(stored.read(self._config)).public()

    def health(self) -> None:
        """Return nothing: only the daemon knows its health."""

    def report(self) -> "Report":
        from sidecar.cli.client import stored
        from sidecar.core.snapshot.report import report

        return report(asyncio.run(stored.read(self._config, at_commit=True)))

    def history(self, grid: Mapping[str, str]) -> "dict[str, Points]":
        from sidecar.cli.client import stored

        return asyncio.run(stored.history(self._config, grid))

    def rejected(self, limit: int) -> "list[RejectedEvent]":
        from sidecar.cli.client import stored

        return asyncio.run(stored.rejected(self._config, limit))

    def clear(self) -> "StatusCounts":
        import msgspec

        from sidecar.cli.client import stored
        from sidecar.cli.client.answers import Cleared

        return msgspec.convert(asyncio.run(stored.clear(self._config)), Cleared).orders.by_status

    def clear_metric(self, name: str) -> None:
        from sidecar.cli.client import stored

        asyncio.run(stored.clear_metric(self._config, name))

    def announce(self, action: "SaleCommand", id: str | None, details: "Details | None" = None) -> "Sale | None":
        from sidecar.cli.client import stored
        from sidecar.core.counts.sale import NO_DETAILS

        return asyncio.run(stored.announce(self._config, action, id, details or NO_DETAILS))

    def load(self, text: bytes, details: "Details") -> bool:
        assert details.manifest is not None
        return self.announce("load", details.manifest.sale, details) is not None

    def sales(self) -> "list[ListedSale]":
        from sidecar.cli.client import stored

        return asyncio.run(stored.sales(self._config))
