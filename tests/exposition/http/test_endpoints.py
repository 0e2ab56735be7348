"""What each handler answers, without a server around it."""

import json
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from sidecar.core.counts.manifest import Manifest, Threshold
from sidecar.core.counts.sale import Sale
from sidecar.core.counts.sale_record import SaleRecord
from sidecar.core.snapshot.snapshot import Role, Snapshot
from sidecar.exposition import documents
from sidecar.exposition.http.endpoints import Endpoints
from sidecar.exposition.http.problem import Problem
from sidecar.exposition.prometheus.negotiation import Format
from sidecar.exposition.published import HealthStatus, Latest
from tests.exposition import snapshots
from tests.exposition.monitors import MemoryMonitor, exposition
from tests.exposition.prometheus.messages import decoded

NINE_ORDERS = snapshots.snapshot()
RUNNING = Sale("friday", "running", 1.0, None, "http")


class Ground:
    """The handlers over a Snapshot and a Monitor."""

    def __init__(self, snapshot: Snapshot | None = NINE_ORDERS) -> None:
        self.latest, self.monitor = Latest(), MemoryMonitor()
        if snapshot is not None:
            self.latest.publish(snapshot)
        self.endpoints = Endpoints(
            latest=self.latest, monitor=self.monitor, exposition=exposition(), ws_url="ws://here:9851/?a&b"
        )

    async def ask(self, handler: str, path: str = "/", *, id: str = "", body: str = "", **headers: str) -> web.Response:
        """Call a handler as aiohttp does."""
        request = make_mocked_request("GET", path, headers=headers, match_info={"id": id})
        request._read_bytes = body.encode()  # as the middleware leaves it
        response: web.Response = await getattr(self.endpoints, handler)(request)
        return response

    async def json(self, handler: str, path: str = "/", **options: str) -> Any:
        return json.loads(_body(await self.ask(handler, path, **options)))

    async def problem(self, handler: str, path: str = "/", **options: str) -> tuple[int, str]:
        with pytest.raises(Problem) as problem:
            await self.ask(handler, path, **options)
        return problem.value.status, problem.value.code


def _body(response: web.Response) -> bytes:
    assert isinstance(response.body, bytes)
    return response.body


@pytest.fixture
def ground() -> Ground:
    return Ground()


def test_every_path_has_a_handler_and_each_is_described(ground: Ground) -> None:
    paths = {route.path for route in ground.endpoints.routes()} | {"/ws"}
    described = set(ground.endpoints._description["paths"])
    assert described <= paths
    assert {path for path in paths - described if not path.startswith("/-/")} <= {"/", "/openapi.json", "/page/{name}"}


async def test_the_snapshot_is_what_is_published(ground: Ground) -> None:
    response = await ground.ask("snapshot")
    assert _body(response) == documents.full(NINE_ORDERS)
    assert (response.content_type, response.headers["Vary"]) == ("application/json", "Accept")


async def test_a_prometheus_gets_the_exposition_instead(ground: Ground) -> None:
    response = await ground.ask("snapshot", Accept="text/plain;version=0.0.4")
    assert response.content_type == "text/plain"
    assert b"flash_sale_orders_total" in _body(response)


async def test_the_exposition_is_packed_for_who_accepts_it(ground: Ground) -> None:
    packed = await ground.ask("metrics", **{"Accept-Encoding": "gzip"})
    assert (packed.headers["Content-Encoding"], _body(packed)[:2]) == ("gzip", b"\x1f\x8b")
    assert "Content-Encoding" not in (await ground.ask("metrics")).headers


async def test_a_prometheus_that_asks_for_protobuf_gets_it(ground: Ground) -> None:
    asked = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,*/*;q=0.5"
    for path in ("metrics", "snapshot"):
        response = await ground.ask(path, Accept=asked)
        assert response.headers["Content-Type"] == Format.PROTOBUF.value
        assert "flash_sale_orders_total" in decoded(_body(response))


async def test_the_exposition_has_only_the_names_asked_for(ground: Ground) -> None:
    body = _body(await ground.ask("metrics", "/?name[]=flash_sale_queue_length"))
    assert b"flash_sale_queue_length" in body
    assert b"flash_sale_orders_total" not in body


@pytest.mark.parametrize(
    ("path", "accept", "kind"),
    [
        ("/", "*/*", "application/json"),
        ("/", "text/markdown", "text/markdown"),
        ("/?format=markdown", "application/json", "text/markdown"),
        ("/?format=json", "text/markdown", "application/json"),
    ],
)
async def test_the_report_is_json_or_markdown(ground: Ground, path: str, accept: str, kind: str) -> None:
    assert (await ground.ask("report", path, Accept=accept)).content_type == kind


async def test_the_fleet_is_asked_for_by_scope(ground: Ground) -> None:
    assert (await ground.json("snapshot", "/?scope=fleet"))["instances"] == ["host-1", "host-2"]
    assert (await ground.json("report", "/?scope=fleet"))["scope"] == "fleet"


@pytest.mark.parametrize(
    ("handler", "path"),
    [
        ("snapshot", "/?scope=world"),
        ("report", "/?format=xml"),
        ("health", "/?strict=maybe"),
        ("history", "/?metric=love"),
        ("history", "/?metric=ok&metric=love"),
        ("history", "/?step=0"),
        ("rejected", "/?limit=0"),
        ("rejected", "/?limit=all"),
    ],
)
async def test_a_value_that_is_not_allowed_is_a_bad_request(ground: Ground, handler: str, path: str) -> None:
    assert await ground.problem(handler, path) == (400, "bad_request")


@pytest.mark.parametrize(
    ("status", "path", "expected"),
    [
        ("ok", "/", 200),
        ("degraded", "/", 200),
        ("degraded", "/?strict=0", 200),
        ("degraded", "/?strict=1", 503),
        ("standby", "/?strict=1", 200),
        ("down", "/", 503),
    ],
)
async def test_health_is_a_status_for_monitors(ground: Ground, status: HealthStatus, path: str, expected: int) -> None:
    ground.monitor.status = status
    response = await ground.ask("health", path)
    assert (response.status, json.loads(_body(response))["status"]) == (expected, status)


@pytest.mark.parametrize(("ready", "status"), [(True, 200), (False, 503)])
async def test_readiness_is_that_of_the_monitor(ground: Ground, ready: bool, status: int) -> None:
    ground.monitor.is_ready = ready
    response = await ground.ask("ready")
    assert (response.status, json.loads(_body(response))) == (status, {"ready": ready, "role": "active"})


async def test_the_process_is_alive_whatever_else_is(ground: Ground) -> None:
    ground.monitor.status, ground.monitor.is_ready = "down", False
    assert await ground.json("alive") == {"alive": True}


@pytest.mark.parametrize(("role", "code"), [("active", "not_ready"), ("standby", "standby")])
async def test_without_numbers_it_says_whether_they_come(role: Role, code: str) -> None:
    ground = Ground(None)
    ground.monitor.role = role
    for handler in ("snapshot", "report", "history", "start_sale"):
        assert await ground.problem(handler, id="friday") == (503, code)


async def test_a_standby_shows_no_numbers_of_when_it_counted(ground: Ground) -> None:
    ground.monitor.role = "standby"
    assert await ground.problem("snapshot") == (503, "standby")
    assert b"flash_sale_orders_total" not in _body(await ground.ask("metrics"))


async def test_history_is_of_one_metric_of_several_or_of_those_in_redis(ground: Ground) -> None:
    now = int(NINE_ORDERS.ts)
    ground.monitor.values["throughput"] = {now - 10: 5}
    one = await ground.json("history", "/?metric=throughput")
    every = await ground.json("history")
    assert every["throughput"] == one
    assert every.keys() == {"throughput", "queue_length", "active_connections"}
    assert [now - 10, 5] in one["points"]
    assert (await ground.json("history", "/?metric=p99&metric=fault")).keys() == {"p99", "fault"}
    assert await ground.json("history", "/?metric=throughput" + "&metric=throughput" * 700) == one


async def test_rejected_payloads_are_as_many_as_asked_for(ground: Ground) -> None:
    assert [one["reason"] for one in (await ground.json("rejected", "/?limit=1"))["rejected"]] == ["not_json"]


async def test_a_clear_answers_with_what_was_cleared(ground: Ground) -> None:
    assert (await ground.json("clear"))["cleared"]["orders"]["total"] == 9
    assert ground.monitor.clears == 1


@pytest.mark.parametrize(("id", "announced"), [("friday", "friday"), ("current", None)])
async def test_a_sale_is_started_and_stopped_by_its_id(id: str, announced: str | None) -> None:
    ground = Ground(snapshots.snapshot(sale=RUNNING))
    assert (await ground.json("start_sale", id=id))["sale"]["state"] == "running"
    assert (await ground.json("stop_sale", id=id))["sale"]["state"] == "ended"
    assert ground.monitor.said == [("start", announced), ("stop", announced)]


async def test_a_sale_that_cannot_be_is_not_announced(ground: Ground) -> None:
    assert await ground.problem("start_sale", id="Black Friday") == (400, "bad_request")
    assert await ground.problem("stop_sale", id="current") == (409, "conflict")
    assert ground.monitor.said == []


async def test_a_clear_of_one_metric_answers_with_it_and_clears_nothing_else(ground: Ground) -> None:
    assert await ground.json("clear", "/?metric=shop_total") == {"cleared": {"metric": "shop_total"}}
    assert await ground.problem("clear", "/?metric=shop") == (404, "not_found")
    assert await ground.problem("clear", "/?metrics=shop_total") == (400, "bad_request")
    assert ground.monitor.clears == 0


MANIFEST = "version: 1\nsale: drop\ntitle: Drop\nstarts_at: 2026-11-27T09:00:00+01:00\n"


async def test_a_manifest_is_stored_listed_and_shown() -> None:
    ground = Ground(snapshots.snapshot(sale=RUNNING))
    stored = await ground.json("load_sale", id="drop", body=MANIFEST)
    assert stored == await ground.json("sale", id="drop")
    assert (stored["sale"]["state"], stored["sale"]["manifest"]["title"]) == ("planned", "Drop")
    listed = (await ground.json("sales"))["sales"]
    assert [(one["id"], one["state"], one["manifest"]) for one in listed] == [
        ("drop", "planned", None),
        ("friday", "running", None),
    ]
    assert (await ground.json("sale", id="current"))["sale"]["id"] == "friday"
    assert ground.monitor.said == [("load", "drop")]


async def test_the_gate_answers_whether_it_passed_or_not() -> None:
    ground = Ground(snapshots.snapshot(sale=RUNNING))
    assert await ground.problem("gate", id="current") == (409, "conflict")
    assert await ground.problem("gate", id="other") == (404, "not_found")
    for text, passed in (("count==9", True), ("count<9", False)):
        plan = Manifest(version="1", sale="friday", starts_at=1.0, thresholds={"orders": (Threshold(threshold=text),)})
        ground.monitor.kept["friday"] = SaleRecord(manifest=plan)
        found = (await ground.json("gate", id="friday"))["gate"]
        assert (found["passed"], found["lines"][0]["value"]) == (passed, 9)


async def test_the_present_sale_takes_notes_and_one_that_is_over_can_be_deleted() -> None:
    ground = Ground(snapshots.snapshot(sale=RUNNING))
    await ground.json("load_sale", id="drop", body=MANIFEST)
    await ground.json("mark_sale", id="current", body='{"text":"push"}')
    await ground.json("restock_sale", id="friday", body='{"product_id":"sku-1","units":5}')
    await ground.json("delete_sale", id="drop")
    assert ground.monitor.said[1:] == [("mark", None), ("restock", "friday"), ("delete", "drop")]


@pytest.mark.parametrize(
    ("handler", "id", "body", "problem"),
    [
        ("load_sale", "drop", "{}", (400, "bad_request")),
        ("load_sale", "other", MANIFEST, (400, "bad_request")),
        ("load_sale", "friday", MANIFEST.replace("drop", "friday"), (409, "conflict")),
        ("mark_sale", "current", '{"text":""}', (400, "bad_request")),
        ("mark_sale", "current", '{"at":1}', (400, "bad_request")),
        ("restock_sale", "current", "[" * 9999, (400, "bad_request")),
        ("restock_sale", "other", '{"product_id":"sku-1","units":5}', (409, "conflict")),
        ("delete_sale", "other", "", (409, "conflict")),
        ("sale", "other", "", (404, "not_found")),
    ],
)
async def test_what_does_not_apply_to_a_sale_is_answered_with_the_reason(
    handler: str, id: str, body: str, problem: tuple[int, str]
) -> None:
    ground = Ground(snapshots.snapshot(sale=RUNNING))
    ground.monitor.kept["friday"] = SaleRecord(started_at=1.0)
    assert await ground.problem(handler, id=id, body=body) == problem
    assert ground.monitor.said == []


async def test_the_page_lists_every_described_path_and_the_websocket_escaped(ground: Ground) -> None:
    page = _body(await ground.ask("index")).decode()
    assert all(path in page for path in ground.endpoints._description["paths"])
    assert "ws://here:9851/?a&amp;b" in page
    assert '<a href="/metrics">' in page
    assert 'href="/monitoring/metrics/clear"' not in page


async def test_the_description_is_answered(ground: Ground) -> None:
    assert (await ground.json("openapi"))["openapi"].startswith("3.")
