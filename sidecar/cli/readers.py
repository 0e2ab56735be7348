"""Where -> what a command shows. Both readers answer with the JSON of the contract as plain Python values."""

import asyncio
import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from sidecar.cli.options import DEFAULT_URL, Where
from sidecar.errors import AccessError, ConfigError, SidecarError, UnavailableError

if TYPE_CHECKING:
    from sidecar.config import Config

HTTP_SECONDS = 5.0
Document = dict[str, Any]


class Reader(Protocol):
    """What commands ask. Every method opens what it needs and closes it; it raises `SidecarError`."""

    def snapshot(self) -> Document:
        """Return the JSON of `GET /monitoring/metrics`."""
        ...

    def report(self) -> Document:
        """Return the JSON of `GET /monitoring/benchmark`."""
        ...

    def history(self, grid: Mapping[str, str]) -> Document:
        """Return the JSON of `GET /monitoring/history` for these `from`, `to` and `step`: every metric by name."""
        ...

    def rejected(self, limit: int) -> list[Document]:
        """Return the newest refused payloads: time, source, reason, detail, payload."""
        ...

    def clear(self) -> Document:
        """Clear the metrics and return the value of `cleared`."""
        ...


def reader(where: Where, *, redis_first: bool = False) -> Reader:
    """Choose by the flags; without any, the daemon at the default address, or Redis with `redis_first`."""
    if where.names_redis or (redis_first and not where.url):
        return RedisReader(where.config())
    return HttpReader(where.url or DEFAULT_URL, where.token)


class HttpReader:
    """Ask a running daemon."""

    def __init__(self, url: str, token: str | None) -> None:
        if not url.startswith(("http://", "https://")):
            raise ConfigError("--url must start with http:// or https://, as in http://127.0.0.1:9850")
        self._url = url.rstrip("/")
        self._token = token
        # Straight to the daemon: a proxy from the environment would be asked for its own 127.0.0.1.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def snapshot(self) -> Document:
        """Return the JSON of `GET /monitoring/metrics`."""
        return self._ask("GET", "/monitoring/metrics")

    def report(self) -> Document:
        """Return the JSON of `GET /monitoring/benchmark`."""
        return self._ask("GET", "/monitoring/benchmark")

    def history(self, grid: Mapping[str, str]) -> Document:
        """Return the JSON of `GET /monitoring/history`."""
        return self._ask("GET", f"/monitoring/history?{urllib.parse.urlencode(grid)}")

    def rejected(self, limit: int) -> list[Document]:
        """Return the newest refused payloads: time, source, reason, detail, payload."""
        found: list[Document] = self._ask("GET", f"/monitoring/rejected?limit={limit}")["rejected"]
        return found

    def clear(self) -> Document:
        """Clear the metrics and return the value of `cleared`."""
        cleared: Document = self._ask("POST", "/monitoring/metrics/clear")["cleared"]
        return cleared

    def _ask(self, method: str, path: str) -> Document:
        request = urllib.request.Request(self._url + path, method=method, headers={"Accept": "application/json"})
        if self._token:
            request.add_unredirected_header("Authorization", f"Bearer {self._token}")
        try:
            with self._opener.open(request, timeout=HTTP_SECONDS) as answer:
                document = json.load(answer)
        except urllib.error.HTTPError as exc:
            with exc:
                raise _refused(self._url, exc.code, exc.read(65_536)) from exc
        except (OSError, http.client.HTTPException) as exc:
            reason = getattr(exc, "reason", exc)
            raise UnavailableError(
                f"no daemon answers at {self._url} ({reason}): start it with `sidecar run`, "
                "or read Redis with --redis-url or --config"
            ) from exc
        except ValueError as exc:
            raise UnavailableError(f"what answers at {self._url} is not the sidecar: check --url") from exc
        if not isinstance(document, dict):
            raise UnavailableError(f"what answers at {self._url} is not the sidecar: check --url")
        return document


def _refused(url: str, status: int, body: bytes) -> SidecarError:
    """Say what an error answer means; the daemon's own words are best."""
    if status == http.HTTPStatus.UNAUTHORIZED:
        return AccessError(f"{url} wants a token: set SIDECAR_HTTP_READ_TOKEN or SIDECAR_HTTP_ADMIN_TOKEN, or --token")
    try:
        message = json.loads(body)["error"]["message"]
    except (ValueError, LookupError, TypeError):
        return UnavailableError(f"{url} answers with HTTP {status}: check that --url is the sidecar's")
    # Not ready yet, or Redis is gone: the next answer may be better.
    kind = UnavailableError if status == http.HTTPStatus.SERVICE_UNAVAILABLE else SidecarError
    return kind(f"{url}: {message}")


class RedisReader:
    """Read what the sidecar committed to Redis; no daemon needs to run."""

    def __init__(self, config: "Config") -> None:
        self._config = config

    def snapshot(self) -> Document:
        """Return the committed state as the JSON of `GET /monitoring/metrics`."""
        import msgspec

        from sidecar.cli import stored

        document: Document = msgspec.to_builtins(asyncio.run(stored.read(self._config)).public())
        return document

    def report(self) -> Document:
        """Return the committed state as the JSON of `GET /monitoring/benchmark`."""
        from sidecar.cli import stored
        from sidecar.exposition import document

        return document.report(asyncio.run(stored.read(self._config)))

    def history(self, grid: Mapping[str, str]) -> Document:
        """Return what is kept in Redis as the JSON of `GET /monitoring/history`."""
        from sidecar.cli import stored

        return asyncio.run(stored.history(self._config, grid))

    def rejected(self, limit: int) -> list[Document]:
        """Return the newest refused payloads: time, source, reason, detail, payload."""
        import msgspec

        from sidecar.cli import stored

        return [msgspec.to_builtins(one) for one in asyncio.run(stored.rejected(self._config, limit))]

    def clear(self) -> Document:
        """Clear the metrics and return the value of `cleared`."""
        from sidecar.cli import stored

        return asyncio.run(stored.clear(self._config))
