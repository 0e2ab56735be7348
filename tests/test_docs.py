"""README and docs say what is there: names, links, examples and commands."""

import json
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import get_args

import click
import msgspec
import pytest

from sidecar.cli import main
from sidecar.config import Config, flatten, read_web_file
from sidecar.config.yaml_file import read_file
from sidecar.core.events.decode import decode, unknown_fields
from sidecar.core.events.event import FIELDS, RejectionReason
from sidecar.core.events.values import STATUS_WORDS
from sidecar.core.snapshot.snapshot import Snapshot
from sidecar.exposition.http.openapi import describe
from tests.conftest import StartRedis
from tests.e2e.daemon import Daemon
from tests.programs import needs
from tests.redis_server import RedisServer
from tests.waiting import wait_until

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
PAGES += sorted((ROOT / "examples").rglob("*.md"))
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
EVENT = re.compile(r"""[`'](\{"(?:status|type|specversion)".*?\})[`']""")
SOURCES = ("README.md", "docs/reference/events.md", "docs/how-to/integrate.md", "docs/reference/cli.md")
# One of each type, so that every family of the exposition has a sample.
SAMPLE = (
    '[{"status":"success","product_id":"sku-1","quantity":9,"latency_ms":4,"processing_ms":3,"amount":2,"currency":"EUR"},'
    '{"status":"failed","reason":"sold_out"},{"status":"pending","producer":"p","seq":1},{"type":"other"},'
    '{"type":"queue","waiting":1,"active":1},'
    '{"type":"inventory","product_id":"sku-1","stock":5},{"type":"connections","active":1},'
    '{"type":"heartbeat","producer":"p","seq":1},{"type":"heartbeat","producer":"p","seq":1},'
    '{"type":"heartbeat","producer":"p","seq":1}]'
)


def page(path: str) -> str:
    """Return a page's text."""
    return (ROOT / path).read_text(encoding="utf-8")


def blocks(path: str, language: str) -> list[str]:
    """Return the fenced blocks of a language."""
    return [text for found, text in FENCE.findall(page(path)) if found == language]


def anchors(text: str) -> set[str]:
    """Return what links can point to: headings, as GitHub makes anchors of them."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def examples(path: str) -> list[str]:
    """Return every event shown on a page, in a block or within a line."""
    lines = FENCE.sub("", page(path)) + "".join(text for language, text in FENCE.findall(page(path)) if not language)
    return [*blocks(path, "json"), *EVENT.findall(lines)]


def commands(path: str, program: str) -> list[str]:
    """Return the lines of plain blocks that call a program."""
    return [line for text in blocks(path, "") for line in text.splitlines() if line.startswith(f"{program} ")]


def run(line: str, redis: RedisServer) -> str:
    """Run a printed redis-cli line against this server and return what it printed."""
    script = f'redis-cli() {{ command redis-cli -p {redis.port} "$@"; }}; {line}'
    found = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=10, check=True)
    return found.stdout.strip()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_internal_link_leads_somewhere(path: Path) -> None:
    for target in LINK.findall(FENCE.sub("", path.read_text(encoding="utf-8"))):
        if not target.startswith(("http://", "https://")):
            name, _, anchor = target.partition("#")
            there = (path.parent / name).resolve() if name else path
            assert there.exists(), target
            assert not anchor or anchor in anchors(there.read_text(encoding="utf-8")), target


def test_every_page_is_reached_from_the_index() -> None:
    linked = {(ROOT / "docs" / target.partition("#")[0]).resolve() for target in LINK.findall(page("docs/index.md"))}
    assert {path for path in PAGES if path.is_relative_to(ROOT / "docs")} - {ROOT / "docs/index.md"} <= linked


def test_the_configuration_page_names_every_setting() -> None:
    text = page("docs/reference/configuration.md")
    assert [name for name in flatten(Config()) if f"`{name}`" not in text] == []


@pytest.mark.parametrize("name", main.commands)
def test_the_command_line_page_names_every_command_and_option(name: str) -> None:
    sections = dict(re.findall(r"^## sidecar (\w+)\n(.*?)(?=^## |\Z)", page("docs/reference/cli.md"), re.DOTALL | re.M))
    options = [one for one in main.commands[name].params if isinstance(one, click.Option)]
    assert [one.opts[0] for one in options if f"`{one.opts[0]}" not in sections[name]] == []


def test_the_http_page_names_every_route() -> None:
    headings = re.findall(r"^## (.*)$", page("docs/reference/http.md"), re.MULTILINE)
    shown = {route for heading in headings for route in heading.split(", ")}
    routes = {f"{method.upper()} {path}" for path, item in describe()["paths"].items() for method in item}
    assert routes <= shown


def test_the_snapshot_on_the_http_page_is_one() -> None:
    text = next(text for text in blocks("docs/reference/http.md", "") if '{"schema"' in text or '"schema":1' in text)
    shown = text[text.index("{") :]
    snapshot = msgspec.json.decode(shown, type=Snapshot)
    assert msgspec.to_builtins(snapshot) == json.loads(shown)


def test_the_events_page_names_every_type_field_word_and_reason() -> None:
    text = page("docs/reference/events.md")
    names = {*FIELDS, *chain(*FIELDS.values()), *get_args(RejectionReason)}
    assert [name for name in sorted(names) if f"`{name}`" not in text] == []
    assert [word for word in STATUS_WORDS if not re.search(rf"\b{word}\b", text)] == []


@pytest.mark.parametrize("path", SOURCES)
def test_every_event_shown_is_understood(path: str) -> None:
    shown = examples(path)
    assert shown
    for text in shown:
        decoded = decode([text.encode()], [time.time()])
        assert decoded.events, text
        assert decoded.rejections == [], text
        assert unknown_fields(text.encode()) == set(), text


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_configuration_shown_has_settings_that_exist(path: Path, tmp_path: Path) -> None:
    for text in blocks(str(path.relative_to(ROOT)), "yaml"):
        file = tmp_path / "shown.yml"
        file.write_text(text)
        if text.startswith("scrape_configs"):
            subprocess.run([needs("promtool"), "check", "config", file], check=True, capture_output=True, timeout=20)
        elif not text.startswith(" "):  # a part of the one before
            assert read_file(str(file))


def test_the_web_configuration_shown_is_one(tmp_path: Path) -> None:
    file = tmp_path / "web.yml"
    file.write_text(next(text for text in blocks("docs/how-to/secure.md", "") if "tls_server_config" in text))
    web = read_web_file(str(file))
    assert web.tls is not None
    assert list(web.users) == ["prometheus"]


@pytest.mark.needs("redis-cli", "bash")
@pytest.mark.parametrize("path", ["README.md", "docs/reference/redis-keys.md"])
def test_the_redis_cli_lines_run(path: str, redis_server: RedisServer) -> None:
    lines = commands(path, "redis-cli")
    assert lines
    for line in lines:
        assert "ERR" not in run(line, redis_server), line


@pytest.mark.parametrize(
    ("language", "emitter"),
    [
        ("python", "emitter.py"),
        ("python", "emitter_asyncio.py"),
        ("js", "emitter.mjs"),
        ("go", "emitter.go"),
        ("php", "emitter.php"),
        ("java", "Emitter.java"),
        ("ruby", "emitter.rb"),
    ],
)
def test_the_lines_of_a_language_in_the_readme_are_those_of_its_emitter(language: str, emitter: str) -> None:
    (shown,) = blocks("README.md", language)
    lines = [line.lstrip("#/ \t") for line in page(f"examples/emitters/{emitter}").splitlines()]
    *_, last = shown.splitlines()
    assert last in lines
    assert emitter == "emitter_asyncio.py" or shown in "\n".join(lines)


class TestWithADaemon:
    """What needs a running daemon that has counted something."""

    @pytest.fixture
    def daemon(self, start_redis: StartRedis, tmp_path: Path) -> Iterator[Daemon]:
        redis = start_redis()
        daemon = Daemon(tmp_path, redis.url, settings="metrics: {new_series_hold: 0}").start()
        redis.ask(f"PUBLISH flash_sale:events {json.dumps(SAMPLE)}")
        wait_until(lambda: daemon.snapshot()["orders"]["total"] == 2, 10, "the events")
        yield daemon
        daemon.stop()

    def test_the_metrics_page_names_every_metric_and_no_other(self, daemon: Daemon) -> None:
        exposed = set(re.findall(r"^(\w+)[{ ]", daemon.text("/metrics"), re.MULTILINE))
        named = re.findall(r"`((?:flash_sale|process|python)_\w+)(?:\{[\w,]*\})?`", page("docs/reference/metrics.md"))
        families = {re.sub("_(bucket|count|sum)$", "", name) for name in exposed}
        elsewhere = {"flash_sale_", "flash_sale_sidecar_", "flash_sale_end_timestamp_seconds"}  # a sale runs
        elsewhere.add("flash_sale_sidecar_mapped_payloads_total")  # there is no mapping
        elsewhere |= {f"flash_sale_time_to_sell_out_{end}_seconds" for end in ("lower", "upper")}  # it sells too seldom
        elsewhere.add("flash_sale_sold_out_timestamp_seconds")
        elsewhere |= {f"flash_sale_queue_{name}" for name in ("drift_jobs", "oldest_waiting_seconds", "paused")}
        budgets = ("error_budget_remaining_ratio", "error_budget_remaining_orders", "slo_alert_firing", "burn_rate")
        elsewhere |= {f"flash_sale_{name}" for name in (*budgets, "slo_bad_total", "slo_valid_total")}  # of a manifest
        assert exposed <= set(named)
        assert set(named) - elsewhere <= exposed | families

    def test_the_python_client_shown_prints_updates(self, daemon: Daemon) -> None:
        snippet = blocks("docs/how-to/websocket.md", "python")[0].replace("9851", str(daemon.ws))
        client = subprocess.Popen([sys.executable, "-u", "-c", snippet], stdout=subprocess.PIPE, text=True)
        try:
            assert client.stdout is not None
            assert re.fullmatch("2 orders, [02] per second\n", client.stdout.readline())
        finally:
            client.kill()
            client.communicate()

    def test_every_path_shown_with_curl_answers(self, daemon: Daemon) -> None:
        text = "".join(path.read_text(encoding="utf-8") for path in PAGES)
        shown = set(re.findall(r"http://127\.0\.0\.1:9850(/[^\s'\"`;]*)", text))
        assert len(shown) > 5
        for path in sorted(one for one in shown if "/metrics/clear" not in one and "/sales/" not in one):
            with urllib.request.urlopen(f"http://127.0.0.1:{daemon.http}{path}", timeout=5) as answer:
                assert answer.status == 200


def test_every_file_to_change_is_there() -> None:
    table = page("docs/design.md").partition("## Where does a change go")[2].partition("\n## ")[0]
    named = [name for name in re.findall(r"`([^`]+)`", table) if "/" in name and name != "sidecar/"]
    assert len(named) > 20
    assert [name for name in named if not (ROOT / "sidecar" / name).exists() and not (ROOT / name).exists()] == []
