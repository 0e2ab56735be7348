"""`sidecar sale`, with and without a daemon."""

import json
import time
from pathlib import Path

import pytest

from sidecar.simulation import SimulatedSale
from tests.cli.commands import invoke
from tests.cli.sales import counted, keep
from tests.cli.test_run import TOKEN, daemon, total
from tests.redis_server import RedisServer
from tests.waiting import wait_until


@pytest.fixture
def sold(redis_server: RedisServer) -> RedisServer:
    """A Redis with a short sale, counted."""
    keep(redis_server, counted(SimulatedSale(seed=3, rate=20, duration=3, start=time.time() - 5), until=5))
    return redis_server


def test_where_no_sidecar_counts_the_next_one_takes_it(sold: RedisServer) -> None:
    found = invoke("sale", "stop", "--redis-url", sold.url)
    assert found.exit_code == 0, found.output
    assert "No sidecar counts" in found.stdout
    with daemon("--redis-url", sold.url) as (_, url):
        wait_until(lambda: total(url) > 0, 10, "the daemon")
        found = invoke("sale", "start", "drop", "--redis-url", sold.url)
        assert found.stdout.startswith("The sale drop runs, since 20"), found.output
        shown = json.loads(invoke("report", "--json", "--url", url).stdout)["sale"]
        assert (shown["id"], shown["state"], shown["started_by"]) == ("drop", "running", "command")


def test_a_daemon_is_told_in_its_redis_or_over_http(redis_server: RedisServer) -> None:
    with daemon("--redis-url", redis_server.url, SIDECAR_HTTP_ADMIN_TOKEN=TOKEN) as (_, url):
        wait_until(lambda: invoke("report", "--url", url).exit_code == 0, 10, "the daemon")
        nothing = invoke("sale", "stop", "--redis-url", redis_server.url)
        assert (nothing.exit_code, "there is no sale to stop" in nothing.stderr) == (1, True)
        assert invoke("sale", "start", "drop", "--redis-url", redis_server.url).exit_code == 0
        refused = invoke("sale", "stop", "--url", url)
        assert (refused.exit_code, "token" in refused.stderr) == (1, True)
        wrong = invoke("sale", "stop", "other", "--url", url, SIDECAR_HTTP_ADMIN_TOKEN=TOKEN)
        assert (wrong.exit_code, "the sale is drop: stop it as drop" in wrong.stderr) == (1, True)
        found = invoke("sale", "stop", "current", "--url", url, SIDECAR_HTTP_ADMIN_TOKEN=TOKEN)
        assert found.stdout.startswith("The sale drop is over: "), found.output


def test_an_id_that_does_not_fit_is_wrong_usage() -> None:
    found = invoke("sale", "start", "Drop 1", "--redis-url", "redis://127.0.0.1:1")
    assert (found.exit_code, "at most 63 characters" in found.stderr) == (2, True)


MANIFEST = """version: 1
sale: drop
title: Sneaker drop
kind: rehearsal
starts_at: 2099-11-27T09:00:00+01:00
duration: 20m
products: [{id: aurora-sneaker, stock: 50}, {id: sku-0}]
markers: [{at: +5m, text: push}]
"""


@pytest.fixture
def manifest(tmp_path: Path) -> str:
    file = tmp_path / "drop.yml"
    file.write_text(MANIFEST)
    return str(file)


def test_a_manifest_is_checked_and_its_stock_compared(sold: RedisServer, manifest: str) -> None:
    found = invoke("sale", "check", manifest, "--redis-url", sold.url)
    assert (found.exit_code, "stock differ" in found.stderr) == (1, True)
    assert "share of the stock sold: on" in found.stdout
    assert "start and end by themselves: on" in found.stdout
    assert "aurora-sneaker: 50 planned, " in found.stdout
    alone = invoke("sale", "check", manifest, "--url", "http://127.0.0.1:1")
    assert (alone.exit_code, "The stock was not compared" in alone.stdout) == (0, True)
    Path(manifest).write_text(MANIFEST.replace("stock: 50", "title: A"))
    assert "is what the backend reports" in invoke("sale", "check", manifest, "--redis-url", sold.url).stdout
    Path(manifest).write_text(MANIFEST.replace("kind", "knid"))
    wrong = invoke("sale", "check", manifest)
    assert (wrong.exit_code, "drop.yml:4: " in wrong.stderr) == (2, True)


def test_a_sale_is_planned_noted_and_deleted_in_redis_or_over_http(redis_server: RedisServer, manifest: str) -> None:
    with daemon("--redis-url", redis_server.url, SIDECAR_HTTP_ADMIN_TOKEN=TOKEN) as (_, url):
        wait_until(lambda: invoke("report", "--url", url).exit_code == 0, 10, "the daemon")

        def sale(*arguments: str) -> str:
            found = invoke("sale", *arguments, *where, SIDECAR_HTTP_ADMIN_TOKEN=TOKEN)
            assert found.exit_code == 0, found.output
            return found.stdout

        for where in (("--url", url), ("--redis-url", redis_server.url)):
            assert sale("load", manifest) == "drop is planned for 2099-11-27 08:00:00 UTC.\n"
            assert invoke("clear", "--yes", *where, SIDECAR_HTTP_ADMIN_TOKEN=TOKEN).exit_code == 0
            assert sale("list").startswith("drop  planned  rehearsal  2099-11-27 08:00:00 UTC  Sneaker drop\n")
            sale("start", "drop")
            sale("mark", "coupon sent")
            sale("restock", "sku-0", "+500")
            shown = sale("show")
            assert "drop (rehearsal) running  Sneaker drop\n" in shown
            assert "aurora-sneaker: 0 sold of 50, 0 %\n" in shown
            assert "UTC: coupon sent\n" in shown
            assert "UTC: sku-0 restocked by 500\n" in shown
            assert json.loads(sale("show", "drop", "--json"))["manifest"]["markers"][0]["text"] == "push"
            sale("stop")
            assert sale("delete", "drop") == "drop is deleted.\n"
            gone = invoke("sale", "show", "other", *where)
            assert (gone.exit_code, "there is no such sale" in gone.stderr) == (1, True)
