"""The answer of each path, from the newest Snapshot and the Monitor."""

import asyncio
import html
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar, get_args

import msgspec
from aiohttp import web
from msgspec import Meta, Struct
from msgspec.structs import replace

from sidecar.config.manifest import parse_manifest
from sidecar.core.counts.pending import REJECTED_KEPT
from sidecar.core.counts.sale import NO_DETAILS, Announcement, Details, SaleCommand
from sidecar.core.events.sale_event import CURRENT, ID_RULE, is_id
from sidecar.core.sale.listing import listing
from sidecar.core.sale.records import refusal
from sidecar.core.snapshot.gate import judge
from sidecar.core.snapshot.report import report
from sidecar.core.snapshot.snapshot import Scope, Snapshot
from sidecar.errors import ConfigError
from sidecar.exposition import documents
from sidecar.exposition.history import IN_REDIS, METRICS, Metric, Query, draw, parse_query
from sidecar.exposition.http.middleware import CLEAR, SALES, wants_page
from sidecar.exposition.http.openapi import describe
from sidecar.exposition.http.problem import Problem, hashed, is_known, json_response, not_modified
from sidecar.exposition.page.files import FOLDER, policy, read_page
from sidecar.exposition.prometheus.negotiation import accepts_gzip, exposition_format, wants_exposition, wants_markdown
from sidecar.exposition.prometheus.render import Exposition
from sidecar.exposition.published import Latest, Monitor, Published

VARY = {"Vary": "Accept"}
FORMATS = ("json", "markdown")
REJECTED_LIMITS = frozenset(map(str, range(1, REJECTED_KEPT + 1)))
T = TypeVar("T")
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
        self._page = read_page()

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
            web.get(SALES.rstrip("/"), self.sales),
            web.get(SALES + "{id}", self.sale),
            web.put(SALES + "{id}", self.load_sale),
            web.delete(SALES + "{id}", self.delete_sale),
            web.get(SALES + "{id}/gate", self.gate),
            web.post(SALES + "{id}/marks", self.mark_sale),
            web.post(SALES + "{id}/restocks", self.restock_sale),
            web.post(SALES + "{id}/start", self.start_sale),
            web.post(SALES + "{id}/stop", self.stop_sale),
            web.get("/openapi.json", self.openapi),
            web.get(FOLDER + "{name}", self.page),
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
        """Answer with one metric, or with several by name: by default those that Redis has, too."""
        asked = dict.fromkeys(request.query.getall("metric", IN_REDIS))
        metrics = [_allowed("metric", name, METRICS) for name in asked]
        published = self._serving()
        now = int(published.snapshot.ts)
        try:
            query = parse_query(request.query, now)
        except ValueError as exc:
            raise Problem(400, "bad_request", str(exc)) from exc
        tag = f'W/"{published.tag}"'  # weak: it is drawn from counts that may be newer than what is published
        if is_known(request, tag):
            return not_modified(tag)
        drawn = {name: await self._drawn(name, query, now) for name in metrics}
        return json_response(drawn[metrics[0]] if len(metrics) == 1 else drawn, headers={"ETag": tag})

    async def rejected(self, request: web.Request) -> web.Response:
        """Answer with the newest rejected payloads."""
        limit = request.query.get("limit", str(REJECTED_KEPT))
        if limit not in REJECTED_LIMITS:
            raise Problem(400, "bad_request", f"limit is a number from 1 to {REJECTED_KEPT}")
        return hashed(request, {"rejected": await self._monitor.rejected(int(limit))})

    async def clear(self, request: web.Request) -> web.Response:
        """Clear the metrics, or one custom metric, and answer with what was cleared."""
        if others := sorted(request.query.keys() - {"metric"}):
            raise Problem(400, "bad_request", f"{others[0]!r} is no parameter of a clear: only `metric` is")
        metric = request.query.get("metric")
        if metric is None:
            return json_response({"cleared": await self._monitor.clear()})
        if not await self._monitor.clear_metric(metric):
            raise Problem(404, "not_found", f"nothing is stored of a custom metric {metric!r}")
        return json_response({"cleared": {"metric": metric}})

    async def start_sale(self, request: web.Request) -> web.Response:
        """Start a sale, and answer with it."""
        return await self._announce("start", _sale_id(request))

    async def stop_sale(self, request: web.Request) -> web.Response:
        """Stop the sale, and answer with it."""
        return await self._announce("stop", _sale_id(request))

    async def sales(self, request: web.Request) -> web.Response:
        """Answer with every sale, without the manifests."""
        found = listing(self._monitor.records(), self._serving().snapshot.sale)
        return json_response({"sales": [replace(one, manifest=None) for one in found]})

    async def sale(self, request: web.Request) -> web.Response:
        """Answer with one sale and its manifest."""
        name, sale = _sale_id(request), self._serving().snapshot.sale
        for one in listing(self._monitor.records(), sale):
            if (name is None and one.id == sale.id and sale.state != "none") or (name is not None and one.id == name):
                return json_response({"sale": one})
        raise Problem(404, "not_found", "there is no such sale; /monitoring/sales lists them")

    async def gate(self, request: web.Request) -> web.Response:
        """Answer with the verdict on the present sale; one that did not pass is an answer, too."""
        id, published = _sale_id(request), self._serving()
        sale = published.snapshot.sale
        if id not in (None, sale.id):
            raise Problem(404, "not_found", f"only the present sale has a report: {sale.id or 'it has no id'}")
        record = self._monitor.records().get(sale.id or "")
        thresholds = record.manifest.thresholds if record and record.manifest else {}
        try:
            return json_response({"gate": judge(thresholds, published.reported(report))})
        except ConfigError as exc:
            raise Problem(409, "conflict", str(exc)) from exc

    async def load_sale(self, request: web.Request) -> web.Response:
        """Store a manifest, in YAML or JSON."""
        name = _sale_id(request)
        replaces = _choice(request, "replace", ("0", "1")) == "1"
        try:
            manifest = parse_manifest(await request.read(), "manifest")
        except ConfigError as exc:
            raise Problem(400, "bad_request", str(exc)) from exc
        if manifest.sale != name:
            raise Problem(400, "bad_request", f"the manifest is that of {manifest.sale}")
        await self._announce("load", name, Details(manifest=manifest, replace=replaces))
        return await self.sale(request)

    async def delete_sale(self, request: web.Request) -> web.Response:
        """Delete what is kept of a sale."""
        return await self._announce("delete", _sale_id(request))

    async def mark_sale(self, request: web.Request) -> web.Response:
        """Add a marker to the present sale."""
        mark = await _body(request, _MarkBody)
        return await self._announce("mark", _sale_id(request), Details(text=mark.text, at=mark.at))

    async def restock_sale(self, request: web.Request) -> web.Response:
        """Note that units of a product were added."""
        restock = await _body(request, _RestockBody)
        details = Details(product_id=restock.product_id, units=restock.units)
        return await self._announce("restock", _sale_id(request), details)

    async def openapi(self, request: web.Request) -> web.Response:
        """Answer with the description of this API."""
        return hashed(request, self._description)

    async def index(self, request: web.Request) -> web.Response:
        """Answer with the page to a browser, and with a list of the paths to others."""
        if wants_page(request):
            return await self.page(request)
        rows = "".join(
            f"<li><code>{method.upper()} {_link(method, path)}</code> {html.escape(operation['summary'])}</li>"
            for path, item in self._description["paths"].items()
            for method, operation in item.items()
        )
        page = LIST.format(rows=rows, websocket=html.escape(self._ws_url))
        headers = {"Content-Security-Policy": LIST_POLICY, **VARY}
        return web.Response(text=page, content_type="text/html", headers=headers)

    async def page(self, request: web.Request) -> web.Response:
        """Answer with a file of the page."""
        file = self._page.get(request.path)
        if file is None:
            raise web.HTTPNotFound
        headers = {"Content-Security-Policy": policy(request.headers.get("Host")), **VARY}
        if is_known(request, file.tag):
            return not_modified(file.tag, headers)
        return web.Response(body=file.body, headers={"ETag": file.tag, "Content-Type": file.content_type, **headers})

    async def _announce(self, action: SaleCommand, id: str | None, details: Details = NO_DETAILS) -> web.Response:
        snapshot = self._serving().snapshot
        announcement = Announcement(action=action, id=id, at=snapshot.ts, by="http", details=details)
        if problem := refusal(snapshot.sale, self._monitor.records(), announcement):
            raise Problem(409, "conflict", problem)
        return json_response({"sale": await self._monitor.announce(action, id, details)})

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
        await asyncio.sleep(0)  # 11,000 points take 30 ms
        return msgspec.Raw(msgspec.json.encode(drawn.document()))


LIST = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Flash Sale Metrics Sidecar</title>
<h1>Flash Sale Metrics Sidecar</h1><ul>{rows}<li><code>{websocket}</code> live updates (WebSocket)</li></ul></html>
"""
LIST_POLICY = "default-src 'none'; frame-ancestors 'none'"


class _MarkBody(Struct, forbid_unknown_fields=True):
    """The body of a mark: its text, and its Unix time unless that is now."""

    text: Annotated[str, Meta(min_length=1, max_length=200)]
    at: Annotated[float, Meta(ge=0, le=1e11)] | None = None


class _RestockBody(Struct, forbid_unknown_fields=True):
    """The body of a restock."""

    product_id: Annotated[str, Meta(min_length=1, max_length=200)]
    units: Annotated[int, Meta(ge=-(10**12), le=10**12)]


async def _body(request: web.Request, form: type[T]) -> T:
    """Return the JSON body."""
    try:
        return msgspec.json.decode(await request.read(), type=form)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise Problem(400, "bad_request", f"the body is no such JSON: {exc}") from exc


def _sale_id(request: web.Request) -> str | None:
    """Return the id of a sale in the path; `None` is the present one."""
    name = request.match_info["id"]
    if name != CURRENT and not is_id(name):
        raise Problem(400, "bad_request", f"the id of a sale has {ID_RULE}, which stands for the present sale")
    return None if name == CURRENT else name


def _link(method: str, path: str) -> str:
    return f'<a href="{path}">{path}</a>' if method == "get" else path


def _accept(request: web.Request) -> str:
    return ",".join(request.headers.getall("Accept", []))


def _choice(request: web.Request, name: str, allowed: Sequence[str]) -> Any:
    """Return the value of a query parameter, `None` if absent; other values than `allowed` are a 400."""
    value = request.query.get(name)
    return None if value is None else _allowed(name, value, allowed)


def _allowed(name: str, value: str, allowed: Sequence[str]) -> Any:
    if value not in allowed:
        raise Problem(400, "bad_request", f"{name} is one of: {', '.join(allowed)}")
    return value
