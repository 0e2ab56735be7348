"""The description of the HTTP API in OpenAPI 3.1; schemas are generated from the types that are served."""

from typing import Any

import msgspec

from sidecar.core.counts.pending import REJECTED_KEPT, RejectedEvent
from sidecar.core.events.event import STATUSES
from sidecar.core.events.sale_event import CURRENT, ID_PATTERN
from sidecar.core.sale.listing import ListedSale
from sidecar.core.snapshot.gate import GateResult
from sidecar.core.snapshot.report import Report
from sidecar.core.snapshot.snapshot import Snapshot
from sidecar.exposition.history import METRICS
from sidecar.exposition.prometheus.negotiation import Format
from sidecar.exposition.published import Health

JSON = "application/json"
# Changes when the API becomes incompatible, like the Snapshot's `schema`.
API_VERSION = "1"

OpenApi = dict[str, Any]


def describe() -> OpenApi:
    """Return the whole document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Flash Sale Metrics Sidecar",
            "version": API_VERSION,
            "description": "Live metrics of a flash sale. Errors are JSON with a code and a message.",
        },
        # None, unless http.read_token or users are configured.
        "security": [{}, {"token": []}, {"user": []}],
        "paths": _paths(),
        "components": {
            "schemas": _schemas(),
            "responses": {"Error": _content("An error.", JSON, _ref("Error"))},
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "user": {"type": "http", "scheme": "basic"},
            },
        },
    }


def _paths() -> OpenApi:
    report = _get("The report of the whole run, as JSON or Markdown", _report(), [_format(), _scope()], (503,))
    alive = _get("Whether the process answers", _content("It does.", JSON, _object(alive={"type": "boolean"})))
    ready = _get("Whether the state is loaded and the sources are subscribed", _ready())
    ready["responses"]["503"] = _ready("Not yet.")
    return {
        "/": {
            "get": _get(
                "The live page to a browser, else this list", _content("HTML.", "text/html", {"type": "string"})
            )
        },
        "/metrics": {"get": _get("Prometheus text, OpenMetrics or protobuf, by Accept", _exposition(), [_names()])},
        "/monitoring/metrics": {
            "get": _get("The newest snapshot as JSON; for Prometheus the exposition", _snapshot(), [_scope()], (503,))
        },
        "/monitoring/benchmark": {"get": report},
        "/monitoring/report": {"get": report},
        "/monitoring/health": {"get": _health()},
        "/healthz": {"get": alive},
        "/-/healthy": {"get": alive},
        "/readyz": {"get": ready},
        "/-/ready": {"get": ready},
        "/monitoring/history": {"get": _get("The last hour by the second", _history(), _grid(), (503,))},
        "/monitoring/rejected": {"get": _get("The newest rejected payloads", _rejected(), [_limit()], (503,))},
        "/monitoring/metrics/clear": {"post": _clear()},
        "/monitoring/sales": {"get": _get("The sales: planned, running, ended", _sales(), [], (503,))},
        "/monitoring/sales/{id}": {
            "get": _get("A sale with its manifest", _one_sale(), [_sale_id()], (404, 503)),
            "put": _loading(),
            "delete": _announcement("Delete what is kept of a sale"),
        },
        "/monitoring/sales/{id}/gate": {
            "get": _get("The verdict on the present sale", _gate(), [_sale_id()], (404, 409, 503))
        },
        "/monitoring/sales/{id}/marks": {
            "post": _announcement("Add a marker to the present sale", _object(text={"type": "string"}))
        },
        "/monitoring/sales/{id}/restocks": {
            "post": _announcement(
                "Note that units were added", _object(product_id={"type": "string"}, units={"type": "integer"})
            )
        },
        "/monitoring/sales/{id}/start": {"post": _announcement("Start a sale; orders alone show one, too")},
        "/monitoring/sales/{id}/stop": {"post": _announcement("Stop the sale: late orders do not continue it")},
        "/ws": {"get": _websocket()},
        "/openapi.json": {"get": _get("This API, described", _content("OpenAPI 3.1.", JSON, {"type": "object"}))},
    }


def _get(summary: str, ok: OpenApi, parameters: list[OpenApi] | None = None, errors: tuple[int, ...] = ()) -> OpenApi:
    """Describe a GET; a query parameter with a wrong value is a 400."""
    statuses = (*((400,) if parameters else ()), 401, *errors, 421, 429)
    responses = {"200": ok} | {str(status): {"$ref": "#/components/responses/Error"} for status in statuses}
    return {"summary": summary, "parameters": parameters or [], "responses": responses}


def _snapshot() -> OpenApi:
    response = _content("The snapshot.", JSON, _ref("Snapshot"))
    response["content"] |= _exposition()["content"]
    return response


def _report() -> OpenApi:
    response = _content("The report.", JSON, _ref("Report"))
    response["content"]["text/markdown"] = {"schema": {"type": "string"}}
    return response


def _exposition() -> OpenApi:
    text = {"schema": {"type": "string"}}
    return {"description": "The exposition.", "content": {format.value: text for format in Format}}


def _health() -> OpenApi:
    strict = _query("strict", {"enum": ["0", "1"], "default": "0"}, "1: degraded is a 503 too.")
    operation = _get("The state of every component", _content("Working.", JSON, _ref("Health")), [strict])
    operation["responses"]["503"] = _content("Down.", JSON, _ref("Health"))
    return operation


def _ready(description: str = "Ready.") -> OpenApi:
    role = {"enum": ["active", "standby"]}
    return _content(description, JSON, _object(ready={"type": "boolean"}, role=role))


def _history() -> OpenApi:
    several = {"type": "object", "additionalProperties": _ref("History")}
    schema = {"anyOf": [_ref("History"), several]}
    return _content("The metric asked for, or several by name.", JSON, schema)


def _grid() -> list[OpenApi]:
    second = {"type": "number", "minimum": 0}
    return [
        _query("metric", {"type": "array", "items": {"enum": list(METRICS)}}, "Without it: those that Redis has, too.")
        | {"style": "form", "explode": True},
        _query("from", second, "First second, Unix; an hour before `to` by default."),
        _query("to", second, "Last second, Unix; the newest by default."),
        _query("step", {"type": "number", "minimum": 1, "default": 1}, "Seconds from point to point."),
    ]


def _rejected() -> OpenApi:
    return _content("Newest first.", JSON, _object(rejected={"type": "array", "items": _ref("RejectedEvent")}))


def _limit() -> OpenApi:
    return _query("limit", {"type": "integer", "minimum": 1, "maximum": REJECTED_KEPT}, "How many; all by default.")


def _clear() -> OpenApi:
    counts = {status: {"type": "integer"} for status in STATUSES}
    orders = _object(**counts, total={"type": "integer"}, by_status=_object(**counts))
    cleared = {"anyOf": [_object(orders=orders), _object(metric={"type": "string"})]}
    summary = "Clear everything but stream positions and sequence windows, or one custom metric"
    metric = _query("metric", {"type": "string"}, "The name of a custom metric; without it: everything.")
    operation = _get(summary, _content("Cleared.", JSON, _object(cleared=cleared)), [metric])
    for status in (403, 404, 503):
        operation["responses"][str(status)] = {"$ref": "#/components/responses/Error"}
    return operation | {"security": [{"token": []}]}


def _announcement(summary: str, body: OpenApi | None = None) -> OpenApi:
    """Describe what changes a sale; `current` is the present one."""
    operation = _get(summary, _content("The sale as it is now.", JSON, _object(sale=_ref("Sale"))), [_sale_id()])
    for status in (403, 409, 503):
        operation["responses"][str(status)] = {"$ref": "#/components/responses/Error"}
    content = {"requestBody": {"required": True, "content": {JSON: {"schema": body}}}} if body else {}
    return operation | content | {"security": [{"token": []}]}


def _loading() -> OpenApi:
    operation = _announcement("Store the manifest of a planned sale, in YAML or JSON", {"type": "object"})
    operation["parameters"].append(_query("replace", {"enum": ["0", "1"], "default": "0"}, "1: replace another one."))
    return operation | {"responses": operation["responses"] | {"200": _one_sale()}}


def _sale_id() -> OpenApi:
    name = {"type": "string", "pattern": ID_PATTERN}
    return {"name": "id", "in": "path", "required": True, "schema": name, "description": f"Or `{CURRENT}`."}


def _sales() -> OpenApi:
    listed = {"type": "array", "items": _ref("ListedSale")}
    return _content("The newest first, without manifests.", JSON, _object(sales=listed))


def _gate() -> OpenApi:
    return _content("Whether it passed, line by line.", JSON, _object(gate=_ref("GateResult")))


def _one_sale() -> OpenApi:
    return _content("The sale.", JSON, _object(sale=_ref("ListedSale")))


def _websocket() -> OpenApi:
    """Describe the handshake; OpenAPI has no words for what follows."""
    upgraded = {"description": "The protocol of docs/reference/live.md follows."}
    operation = _get("Live updates (WebSocket)", upgraded, errors=(403, 426, 503))
    operation["responses"]["101"] = operation["responses"].pop("200")
    return operation


def _names() -> OpenApi:
    strings = {"type": "array", "items": {"type": "string"}}
    return _query("name[]", strings, "Only these samples or families.") | {"style": "form", "explode": True}


def _scope() -> OpenApi:
    return _query("scope", {"enum": ["instance", "fleet"], "default": "instance"}, "fleet: all sidecars, merged.")


def _format() -> OpenApi:
    return _query("format", {"enum": ["json", "markdown"]}, "Takes precedence over Accept.")


def _query(name: str, schema: OpenApi, description: str) -> OpenApi:
    return {"name": name, "in": "query", "schema": schema, "description": description}


def _content(description: str, media_type: str, schema: OpenApi) -> OpenApi:
    return {"description": description, "content": {media_type: {"schema": schema}}}


def _object(**properties: OpenApi) -> OpenApi:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _ref(name: str) -> OpenApi:
    return {"$ref": f"#/components/schemas/{name}"}


def _schemas() -> OpenApi:
    _, schemas = msgspec.json.schema_components(
        [Snapshot, Report, Health, RejectedEvent, ListedSale, GateResult], ref_template="#/components/schemas/{name}"
    )
    # `series` is for the exposition alone.
    for name in ("Snapshot", "Report"):
        del schemas[name]["properties"]["series"]
    for name in ("Series", "ClassicHistogram", "Exemplar"):
        del schemas[name]
    point = {"type": "array", "prefixItems": [{"type": "integer"}, {"type": ["number", "null"]}]}
    points = {"type": "array", "items": point}
    integer, text = {"type": "integer"}, {"type": "string"}
    history: OpenApi = {"metric": {"enum": list(METRICS)}, "step": integer, "from": integer, "points": points}
    return schemas | {
        "History": _object(**history),
        "Error": _object(error=_object(code=text, message=text)),
    }
