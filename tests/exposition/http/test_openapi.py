"""The description of the API against the API."""

import json

import msgspec
from aiohttp import web

from sidecar.exposition import documents
from sidecar.exposition.http.endpoints import Endpoints
from sidecar.exposition.http.openapi import describe
from sidecar.exposition.live.upgrade import PATH
from sidecar.exposition.page.files import FOLDER
from sidecar.exposition.published import Latest
from tests.exposition.monitors import MemoryMonitor, exposition
from tests.exposition.snapshots import CUSTOM, snapshot

FLEET = snapshot(scope="fleet", instances=["a"], custom=CUSTOM)


def test_the_description_is_valid_openapi() -> None:
    from openapi_spec_validator import OpenAPIV31SpecValidator  # half a second, in every process that runs tests

    OpenAPIV31SpecValidator(json.loads(msgspec.json.encode(describe()))).validate()


async def test_every_route_is_described_and_nothing_else() -> None:
    endpoints = Endpoints(latest=Latest(), monitor=MemoryMonitor(), exposition=exposition(), ws_url="")
    routes = [*endpoints.routes(), web.get(PATH, endpoints.index)]
    served = {(route.path, route.method) for route in routes if not route.path.startswith(FOLDER)}
    described = {(path, method.upper()) for path, item in describe()["paths"].items() for method in item}
    assert described == served


def test_the_part_of_a_snapshot_that_is_not_in_the_json_is_not_described() -> None:
    schemas = describe()["components"]["schemas"]
    assert "series" not in schemas["Snapshot"]["properties"].keys() | schemas["Report"]["properties"].keys()
    assert list(schemas["Report"]["properties"]) == list(json.loads(documents.report_json(FLEET)))
    assert not {"Series", "ClassicHistogram", "Exemplar"} & schemas.keys()
