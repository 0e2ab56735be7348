"""`sidecar tap` shows what comes from the sources of a real Redis, without counting or writing anything."""

import json
from pathlib import Path

import pytest

from tests.cli.commands import invoke
from tests.redis_server import RedisServer

MAPPING = """
redis: {{url: "{url}"}}
mappings:
  - name: shop
    sources: [stream:shop]
    entry: data
    rules:
      - name: paid
        when: {{kind: paid}}
        event: {{status: {{value: success}}, order_id: nr}}
    otherwise: reject
"""


@pytest.fixture
def config(tmp_path: Path, redis_server: RedisServer) -> str:
    path = tmp_path / "sidecar.yml"
    path.write_text(MAPPING.format(url=redis_server.url))
    return str(path)


def add(redis_server: RedisServer, *payloads: str) -> None:
    for payload in payloads:
        redis_server.ask(f"XADD shop * data '{payload}'")


def test_the_newest_entries_of_a_stream_are_shown_with_what_they_become(config: str, redis_server: RedisServer) -> None:
    add(redis_server, '{"kind":"old"}', '{"kind":"paid","nr":7}')
    found = invoke("tap", "--config", config, "--source", "stream:shop", "--last", "1", "--limit", "1")
    assert found.exit_code == 0
    assert found.stdout == "stream:shop: order by mapping shop, rule paid\n    status=success order_id=7\n"
    assert "1 payload: 1 event, 0 dropped, 0 rejected" in found.stderr


def test_of_a_rejected_payload_only_the_names_of_its_fields_are_shown(config: str, redis_server: RedisServer) -> None:
    add(redis_server, '{"kind":"what","email":"somebody@example.org"}')
    found = invoke("tap", "--config", config, "--source", "stream:shop", "--limit", "1")
    assert found.exit_code == 1
    assert "unmapped" in found.stdout
    assert "its fields: kind, email" in found.stdout
    assert "somebody" not in found.stdout
    shown = invoke("tap", "--config", config, "--source", "stream:shop", "--limit", "1", "--payloads")
    assert "somebody@example.org" in shown.stdout


def test_an_entry_without_the_field_of_its_mapping_is_shown(config: str, redis_server: RedisServer) -> None:
    redis_server.ask('XADD shop * payload {"kind":"paid"}')
    found = invoke("tap", "--config", config, "--source", "stream:shop", "--limit", "1")
    assert found.exit_code == 1
    assert "no field that `entry` of its mapping names" in found.stdout
    assert "has the fields payload" in found.stdout


def test_a_source_without_a_mapping_is_read_as_events_of_our_own(config: str, redis_server: RedisServer) -> None:
    redis_server.ask('XADD flash_sale:events * e \'{"status":"failed"}\'')
    found = invoke("tap", "--config", config, "--source", "stream:flash_sale:events", "--limit", "1", "--json")
    shown = json.loads(found.stdout)
    assert (shown["outcome"], shown["event"]) == ("mapped", {"type": "order", "status": "failed"})


def test_it_ends_after_the_time_and_leaves_nothing_in_redis(config: str, redis_server: RedisServer) -> None:
    found = invoke("tap", "--config", config, "--seconds", "0.2")
    assert found.exit_code == 0
    assert "0 payloads: 0 events" in found.stderr
    assert redis_server.ask("DBSIZE") == ":0\r\n"


def test_an_unknown_source_is_wrong_usage(config: str) -> None:
    found = invoke("tap", "--config", config, "--source", "shop")
    assert (found.exit_code, "shop is no configured source" in found.stderr) == (2, True)
