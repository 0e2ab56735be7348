"""The answer of each path, from the newest Snapshot and the Monitor."""

import html
from collections.abc import Callable, Sequence
from typing import Any, get_args

import msgspec
from aiohttp import web

from sidecar.core.counts.pending import REJECTED_KEPT
from sidecar.core.counts.sale import Announcement
from sidecar.core.events.sale_event import CURRENT, ID_RULE, Action, is_id
from sidecar.core.sale.transitions import objection
from sidecar.core.snapshot.snapshot import Scope, Snapshot
from sidecar.exposition import documents
from sidecar.exposition.history import METRICS, Metric, Query, draw, parse_query
from sidecar.exposition.http.middleware import CLEAR, SALES
from sidecar.exposition.http.openapi import describe
from sidecar.exposition.http.problem import Problem, hashed, is_known, json_response, not_modified
from sidecar.exposition.prometheus.negotiation import accepts_gzip, exposition_format, wants_exposition, wants_markdown
from sidecar.exposition.prometheus.render import Exposition
from sidecar.exposition.published import Latest, Monitor, Published

VARY = {"Vary": "Accept"}
FORMATS = ("json", "markdown")
REJECTED_LIMITS = frozenset(map(str, range(1, REJECTED_KEPT + 1)))
SCOPES: tuple[Scope, ...] = get_args(Scope)

NOT_READY = "the state is not loaded yet; /monitoring/health says what is missing"
STANDBY = "this instance is a standby: it reads nothing; the active one has the numbers"


class Endpoints:
    """The handlers. Only those of `rejected`, `clear`, sales and the fleet wait for Redis."""

    def __init__(self, *, latest: Latest, monitor: Monitor, exposition: Exposition, ws_url: str) -> None:
        self._latest = latest
        self._monitor = monitor
        self._exposition = exposition
        self._ws_url = ws_url
        self._description = describe()

    def routes(self) -> list[web.RouteDef]:
        """List every path with its handler; HEAD comes with GET."""
        return [
            web.get("/", self.index),
            web.get("/metrics", self.metrics),
            web.get("/monitoring/metrics", self.snapshot),
            web.get("/monitoring/benchmark", self.report),
            web.get("/monitoring/report", self.report),
            web.get("/monitoring/health", self.health),
            web.get("/healthz", self.alive),
            web.get("/-/healthy", self.alive),
            web.get("/readyz", self.ready),
            web.get("/-/ready", self.ready),
            web.get("/monitoring/history", self.history),
            web.get("/monitoring/rejected", self.rejected),
            web.post(CLEAR, self.clear),
            web.post(SALES + "{id}/start", self.start_sale),
            web.post(SALES + "{id}/stop", self.stop_sale),
            web.get("/openapi.json", self.openapi),
        ]

    async def metrics(self, request: web.Request) -> web.Response:
        """Answer with the exposition."""
        format = exposition_format(_accept(request))
        gzipped = accepts_gzip(request.headers.get("Accept-Encoding", ""))
        names = request.query.getall("name[]", [])
        body = await self._exposition.render(self._counted, format, names, gzipped=gzipped)
        headers = {"Content-Type": format.value, "Vary": "Accept, Accept-Encoding"}
        return web.Response(body=body, headers=headers | ({"Content-Encoding": "gzip"} if gzipped else {}))

    async def snapshot(self, request: web.Request) -> web.Response:
        """Answer with the Snapshot as JSON, or with the exposition if Prometheus asks."""
        if wants_exposition(_accept(request)):
            return await self.metrics(request)
        return await self._shown(request, documents.full, Published.rendered)

    async def report(self, request: web.Request) -> web.Response:
        """Answer with the report as JSON or Markdown."""
        format = _choice(request, "format", FORMATS)
        if format == "markdown" or (format is None and wants_markdown(_accept(request))):
            markdown = "text/markdown; charset=utf-8"
            return await self._shown(request, documents.report_markdown, Published.reported, markdown)
        return await self._shown(request, documents.report_json, Published.reported)

    async def health(self, request: web.Request) -> web.Response:
        """Answer with the state of every component; 503 if down, with `strict=1` also if degraded."""
        strict = _choice(request, "strict", ("0", "1")) == "1"
        health = self._monitor.health()
        bad = health.status == "down" or (strict and health.status == "degraded")
        return json_response(health, status=503) if bad else hashed(request, health)

    async def alive(self, request: web.Request) -> web.Response:
        """Answer that the process is alive."""
        return json_response({"alive": True})

    async def ready(self, request: web.Request) -> web.Response:
        """Answer whether the state is loaded and the sources are subscribed; a standby is ready, too."""
        ready, role = self._monitor.ready()
        return json_response({"ready": ready, "role": role}, status=200 if ready else 503)

    async def history(self, request: web.Request) -> web.Response:
        """Answer with one metric, or with all three by name."""
        metric = _choice(request, "metric", METRICS)
        published = self._serving()
        now = int(published.snapshot.ts)
        try:
            query = parse_query(request.query, now)
        except ValueError as exc:
            raise Problem(400, "bad_request", str(exc)) from exc
        tag = f'W/"{published.tag}"'  # weak: it is drawn from counts that may be newer than what is published
        if is_known(request, tag):
            return not_modified(tag)
        names = METRICS if metric is None else [metric]
        drawn = {name: await self._drawn(name, query, now) for name in names}
        return json_response(drawn if metric is None else drawn[metric], headers={"ETag": tag})

    async def rejected(self, request: web.Request) -> web.Response:
        """Answer with the newest rejected payloads."""
        limit = request.query.get("limit", str(REJECTED_KEPT))
        if limit not in REJECTED_LIMITS:
            raise Problem(400, "bad_request", f"limit is a number from 1 to {REJECTED_KEPT}")
        return hashed(request, {"rejected": await self._monitor.rejected(int(limit))})

    async def clear(self, request: web.Request) -> web.Response:
        """Clear the metrics, and answer with what was cleared."""
        return json_response({"cleared": await self._monitor.clear()})

    async def start_sale(self, request: web.Request) -> web.Response:
        """Start a sale, and answer with it."""
        return await self._announce("start", request.match_info["id"])

    async def stop_sale(self, request: web.Request) -> web.Response:
        """Stop the sale, and answer with it."""
        return await self._announce("stop", request.match_info["id"])

    async def openapi(self, request: web.Request) -> web.Response:
        """Answer with the description of this API."""
        return hashed(request, self._description)

    async def index(self, request: web.Request) -> web.Response:
        """Answer with a list of the paths."""
        rows = "".join(
            f"<li><code>{method.upper()} {_link(method, path)}</code> {html.escape(operation['summary'])}</li>"
            for path, item in self._description["paths"].items()
            for method, operation in item.items()
        )
        page = PAGE.format(rows=rows, websocket=html.escape(self._ws_url))
        return web.Response(text=page, content_type="text/html", headers={"Content-Security-Policy": PAGE_POLICY})

    async def _announce(self, action: Action, name: str) -> web.Response:
        if name != CURRENT and not is_id(name):
            raise Problem(400, "bad_request", f"the id of a sale has {ID_RULE}, which stands for the present sale")
        snapshot = self._serving().snapshot
        announcement = Announcement(action=action, id=None if name == CURRENT else name, at=snapshot.ts, by="http")
        if problem := objection(snapshot.sale, announcement):
            raise Problem(409, "conflict", problem)
        return json_response({"sale": await self._monitor.announce(announcement.action, announcement.id)})

    def _counted(self) -> Published | None:
        """Return the newest values if this instance is active."""
        published = self._latest.published
        active = published and published.snapshot.role == "active" and self._monitor.ready()[1] == "active"
        return published if active else None

    def _serving(self) -> Published:
        published = self._counted()
        if published is not None:
            return published
        if self._monitor.ready()[1] == "standby":
            raise Problem(503, "standby", STANDBY)
        raise Problem(503, "not_ready", NOT_READY)

    async def _shown(
        self,
        request: web.Request,
        render: Callable[[Snapshot], bytes],
        show: Callable[[Published, Callable[[Snapshot], bytes]], bytes],
        content_type: str = "application/json",
    ) -> web.Response:
        """Answer with a rendering of the newest values of the requested scope, unless the client has it."""
        scope = _choice(request, "scope", SCOPES)
        published = self._serving()
        if scope == "fleet":
            published = await self._latest.fleet(self._monitor.fleet)
        tag = f'"{published.tag}-{render.__name__}"'
        if is_known(request, tag):
            return not_modified(tag, VARY)
        headers = {"ETag": tag, "Content-Type": content_type, **VARY}
        return web.Response(body=show(published, render), headers=headers)

    async def _drawn(self, metric: Metric, query: Query, now: int) -> msgspec.Raw:
        """Return the points as JSON, which takes a tenth of the memory of Python values."""
        drawn = await draw(metric, query, now, self._monitor.history)
        return msgspec.Raw(msgspec.json.encode(drawn.document()))


PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Flash Sale Metrics Sidecar</title>
<h1>Flash Sale Metrics Sidecar</h1><ul>{rows}<li><code>{websocket}</code> live updates (WebSocket)</li></ul></html>
"""
PAGE_POLICY = "default-src 'none'; frame-ancestors 'none'"


def _link(method: str, path: str) -> str:
    return f'<a href="{path}">{path}</a>' if method == "get" else path


def _accept(request: web.Request) -> str:
    return ",".join(request.headers.getall("Accept", []))


def _choice(request: web.Request, name: str, allowed: Sequence[str]) -> Any:
    """Return the value of a query parameter, `None` if absent; other values than `allowed` are a 400."""
    value = request.query.get(name)
    if value is not None and value not in allowed:
        raise Problem(400, "bad_request", f"{name} is one of: {', '.join(allowed)}")
    return value
