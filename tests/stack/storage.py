"""The databases that keep the numbers for long: a real InfluxDB 1.x and a real VictoriaMetrics, on free ports."""

import json
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from tests.ports import free_port
from tests.programs import needs
from tests.waiting import wait_until

START_SECONDS = 30.0  # a loaded machine; a quiet one needs one
ADMIN = ("root", "root-secret")
SETTINGS = """
bind-address = "127.0.0.1:{rpc}"
[meta]
  dir = "{folder}/meta"
[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
[http]
  bind-address = "127.0.0.1:{port}"
  auth-enabled = true
[monitor]
  store-enabled = false
"""


class Storage:
    """One database, which a test may kill and start again on the same port and data."""

    def __init__(self, folder: Path) -> None:
        """Prepare it; the caller starts it, and ends it with `stop`."""
        self.port = free_port()
        self.folder = folder
        folder.mkdir()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        """Return what starts it."""
        raise NotImplementedError

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with (self.folder / "log").open("a") as log:
            self._process = subprocess.Popen(self.command(), cwd=self.folder, stdout=log, stderr=log)
        wait_until(lambda: self.get("/ping", {}) is not None, START_SECONDS, f"an answer; see {self.folder}/log")

    def kill(self) -> None:
        """End it at once, as a crash does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End it, if it runs."""
        if self._process is not None and self._process.poll() is None:
            self.kill()

    def get(self, path: str, query: dict[str, str]) -> bytes | None:
        """Return a body; `None` if nobody answers."""
        try:
            with urllib.request.urlopen(f"{self.url}{path}?{urllib.parse.urlencode(query)}", timeout=10) as answer:
                return bytes(answer.read())
        except urllib.error.HTTPError as exc:
            with exc:
                raise AssertionError(exc.read()) from exc
        except OSError:
            return None


class InfluxDB(Storage):
    """InfluxDB 1.x, where nobody may do anything without a password."""

    def command(self) -> list[str]:
        """Write its configuration and return what starts it."""
        config = self.folder / "influxdb.conf"
        if not config.exists():
            config.write_text(SETTINGS.format(rpc=free_port(), port=self.port, folder=self.folder))
        return [needs("influxd"), "-config", str(config)]

    def set_up(self, orders: list[str]) -> None:
        """Make an administrator, who then gives these orders."""
        self._do("CREATE USER {} WITH PASSWORD '{}' WITH ALL PRIVILEGES".format(*ADMIN))
        for order in orders:
            self._do(order, u=ADMIN[0], p=ADMIN[1])

    def ask(self, database: str, query: str) -> list[dict[str, Any]]:
        """Return the series that a query gives; times in nanoseconds."""
        url = self._query(query, db=database, epoch="ns", u=ADMIN[0], p=ADMIN[1])
        try:
            with urllib.request.urlopen(url, data=b"", timeout=10) as answer:
                (result,) = json.load(answer)["results"]
        except urllib.error.HTTPError as exc:
            with exc:
                raise AssertionError(exc.read()) from exc
        except OSError:
            return []
        assert "error" not in result, result
        series: list[dict[str, Any]] = result.get("series", [])
        return series

    def rows(self, database: str, query: str) -> list[list[Any]]:
        """Return the rows of the only series that a query gives, none if there is none."""
        series = self.ask(database, query)
        assert len(series) < 2, series
        rows: list[list[Any]] = series[0]["values"] if series else []
        return rows

    def last(self, database: str, field: str, source: str) -> Any:
        """Return the newest value of a field, `None` if there is none."""
        rows = self.rows(database, f"SELECT last({field}) FROM {source}")
        return rows[0][1] if rows else None

    def _do(self, order: str, **credentials: str) -> None:
        with urllib.request.urlopen(self._query(order, **credentials), data=b"", timeout=10) as answer:
            said = json.load(answer)
        assert "error" not in json.dumps(said), said

    def _query(self, query: str, **parameters: str) -> str:
        return f"{self.url}/query?{urllib.parse.urlencode({'q': query, **parameters})}"


class VictoriaMetrics(Storage):
    """VictoriaMetrics, which shows a point as soon as it has it."""

    def command(self) -> list[str]:
        """Return what starts it."""
        return [
            needs("victoria-metrics"),
            f"-storageDataPath={self.folder / 'data'}",
            f"-httpListenAddr=127.0.0.1:{self.port}",
            "-retentionPeriod=2y",
            "-search.latencyOffset=0s",
        ]

    def value(self, expression: str) -> float | None:
        """Return the value of an expression that gives one series, `None` if it gives none."""
        answer = self.get("/api/v1/query", {"query": expression})
        result = json.loads(answer)["data"]["result"] if answer else []
        assert len(result) < 2, result
        return float(result[0]["value"][1]) if result else None
