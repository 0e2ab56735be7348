"""What is wrong with a mapping is told before anything is read: where, what, and the word that was probably meant."""

from pathlib import Path

import pytest

from sidecar.config.loading import load
from tests.config.test_tree import problem

RULES = "rules: [{event: {status: s}}]"


def told(folder: Path, text: str) -> str:
    """Return the problem of one mapping, written in one line."""
    return problem(folder, f"mappings:\n  - {{name: shop, {text}}}\n")


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        ("", "mappings[0] has no sources: write sources: [pubsub:CHANNEL] or [stream:STREAM]"),
        ("sources: shop,", 'mappings[0].sources[0] must name stream:NAME or pubsub:NAME, not "shop"'),
        (
            "sources: [pubsub:a, 'stream:'],",
            'mappings[0].sources[1] must name stream:NAME or pubsub:NAME, not "stream:"',
        ),
        ("sources: [pubsub:a, pubsub:a],", 'mappings[0].sources[1] names "pubsub:a" twice'),
    ],
)
def test_sources_have_a_kind_and_a_name(tmp_path: Path, sources: str, expected: str) -> None:
    assert told(tmp_path, f"{sources} {RULES}") == f"FILE:2: {expected}"


@pytest.mark.parametrize("entry", ["['*', e]", "[fields, e]", "['']"])
def test_an_entry_is_named_by_fields_or_by_one_word(tmp_path: Path, entry: str) -> None:
    assert "mappings[0].entry must name fields" in told(tmp_path, f"sources: stream:s, entry: {entry}, {RULES}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("each: e", "mappings[0] has no rules: write `rules:` below it, or `use:`"),
        (
            "rules: [{name: a, when: {x: y}, event: {status: s}}, {name: a, drop: true}]",
            'rules[1] has the name "a" a second',
        ),
        ("rules: [{drop: true}, {event: {status: s}}]", 'rules[1] can never match: rule "1" before it takes all'),
        (
            "rules: [{when: {a: b}, drop: true}, {when: {a: b}, event: {status: s}}]",
            'rules[1] can never match: rule "1"',
        ),
        (
            "rules: [{when: {a: b}, drop: true}, {when: {c: d, a: b}, event: {status: s}}]",
            'rules[1] can never match: rule "1"',
        ),
        ("rules: [{drop: true, event: {status: s}}]", "rules[0] drops what it takes, so that its event is never used"),
        ("rules: [{when: {a: {}}, drop: true}]", "rules[0].when.a asks nothing: write a word"),
        (
            "rules: [{when: {a: {equals: x, exists: false}}, drop: true}]",
            "rules[0].when.a can never match: what does not",
        ),
        (
            "rules: [{when: {a: {equals: x, one_of: [y]}}, drop: true}]",
            'rules[0].when.a can never match: "x" is none of',
        ),
        ("rules: [{when: {a: {above: NaN}}, drop: true}]", "rules[0].when.a must be above a number"),
        ("rules: [{when: {'a..b': x}, drop: true}]", "rules[0].when.a..b is no path: write names joined by dots"),
        ("rules: [{when: {a: {differs_from: 'b['}}, drop: true}]", "rules[0].when.a is no path"),
        ("rules: [{event: {order_id: id}}]", "rules[0] makes an event of type order without status, which it needs"),
        ("rules: [{event: {type: {value: inventory}, stock: s}}]", "an event of type inventory without product_id"),
        ("rules: [{event: {type: kind}}]", "rules[0].event.type must be a constant: write {value: order, queue,"),
        ("rules: [{event: {type: {value: orders}}}]", "rules[0].event.type must be one of order, queue, inventory"),
        (
            "rules: [{event: {status: s, order: o}}]",
            'rules[0].event.order is no field of such an event; did you mean "order_id"?',
        ),
        ("event: {wait: w}, rules: [{drop: true}]", 'event.wait is no field of such an event; did you mean "waiting"?'),
        (
            "rules: [{event: {status: s, stock: n}}]",
            "rules[0].event.stock is no field of such an event; there is type, ts",
        ),
        (
            "rules: [{event: {status: {path: s, item: {product_id: p}}}}]",
            "rules[0].event.status has no items: only the field",
        ),
        ("rules: [{event: {status: s, items: l}}]", "rules[0].event.items needs `path`, the list, and `item`"),
        ("rules: [{event: {status: s, items: {path: l, item: {quantity: q}}}}]", "event.items needs `path`"),
        (
            "rules: [{event: {status: s, items: {path: l, item: {product_id: p, sku: q}}}}]",
            "item.sku is no field of an item",
        ),
        ("rules: [{event: {status: s, items: {path: 'l[', item: {product_id: p}}}}]", "event.items.path is no path"),
        (
            "rules: [{event: {status: s, items: {path: l, when: {'n[': 1}, item: {product_id: p}}}}]",
            "items.when.n[ is no path",
        ),
        (
            "rules: [{event: {status: s, items: {path: l, item: {product_id: 'p.'}}}}]",
            "item.product_id.path is no path",
        ),
        ("rules: [{event: {status: {path: s, value: paid}}}]", "event.status needs either `path`, where it stands"),
        ("rules: [{event: {status: {words: {a: paid}}}}]", "event.status needs either `path`, where it stands"),
        (
            "rules: [{event: {status: {value: paid, after: x}}}]",
            "event.status is a constant, which needs nothing but `value`",
        ),
        (
            "rules: [{event: {status: {value: payed}}}]",
            'event.status makes "payed" of it, which is no status; did you mean "paid"?',
        ),
        (
            "rules: [{event: {status: {path: s, words: {x: done}}}}]",
            'event.status makes "done" of it, which is no status',
        ),
        (
            "rules: [{event: {status: {path: s, else: fail}}}]",
            'makes "fail" of it, which is no status; did you mean "failed"?',
        ),
        ("rules: [{event: {status: s, order_id: ''}}]", "mappings[0].rules[0].event.order_id"),
        ("rules: [{event: {status: s, order_id: {path: ''}}}]", "event.order_id needs either `path`"),
        (
            "rules: [{event: {status: s, amount: {path: a, unit: s}}}]",
            "event.amount.unit is only for latency_ms and processing_ms",
        ),
        ("rules: [{event: {status: s, latency_ms: {path: a, scale: 2}}}]", "event.latency_ms.scale is only for amount"),
        ("rules: [{event: {status: s, latency_ms: {path: a, since: 'b['}}}]", "event.latency_ms.since is no path"),
        ("rules: [{event: {status: s, amount: {path: a, times: 'b['}}}]", "event.amount.times is no path"),
        (
            "rules: [{event: {status: s, order_id: {path: a, zone: UTC}}}]",
            "event.order_id.zone is only for ts and latency_ms",
        ),
        (
            "rules: [{event: {status: s, amount: {path: a, divide_by: 0}}}]",
            "event.amount.divide_by must be a number above 0",
        ),
        ("rules: [{event: {status: s, amount: {path: a, divide_by: Infinity}}}]", "divide_by must be a number above 0"),
        ("rules: [{event: {status: s, amount: {path: a, scale: 99}}}]", "event.amount.scale must be from -38 to 38"),
        (
            "rules: [{event: {status: s, amount: {path: a, minor_units: true, decimals: {eur: 2}}}}]",
            'did you mean "EUR"?',
        ),
        (
            "rules: [{event: {status: s, amount: {path: a, minor_units: true, decimals: {EUR: -1}}}}]",
            "decimals.EUR must be the",
        ),
        (
            "rules: [{event: {status: s, amount: {path: a, decimals: {EUR: 2}}}}]",
            "decimals is only used with minor_units: true",
        ),
        (
            f"zone: Europe/Berlim, {RULES}",
            'zone is "Europe/Berlim", a time zone that this machine does not know; did you mean',
        ),
        (f"zone: ../../etc/passwd, {RULES}", "a time zone that this machine does not know"),
        (f"zone: Europe, {RULES}", "a time zone that this machine does not know"),
        ("rules: [{event: {status: s, ts: {path: t, zone: Mars/One}}}]", "event.ts.zone is"),
        (f"inner: {{'a[': json}}, {RULES}", "mappings[0].inner is no path"),
        (f"each: 'a[', {RULES}", "mappings[0].each is no path"),
        (f"repeats: 'a[', {RULES}", "mappings[0].repeats is no path"),
    ],
)
def test_each_mistake_is_told_with_its_place_and_the_way_out(tmp_path: Path, text: str, expected: str) -> None:
    found = told(tmp_path, f"sources: pubsub:shop, {text}")
    assert found.startswith("FILE:2: mappings[0]")
    assert expected in found


def test_a_mistake_deep_down_has_its_own_line(tmp_path: Path) -> None:
    text = """mappings:
  - name: shop
    sources: pubsub:shop
    rules:
      - name: paid
        event:
          status:
            path: state
            words:
              done: success
              gone: cancled
"""
    found = problem(tmp_path, text)
    assert found.startswith('FILE:8: mappings[0].rules[0].event.status makes "cancled" of it')
    assert found.count('did you mean "canceled"?') == 1


def test_the_name_of_a_ready_made_mapping_is_checked(tmp_path: Path) -> None:
    found = problem(tmp_path, "mappings:\n  - use: shopfy\n    sources: pubsub:shop\n")
    assert found.startswith('FILE:2: mappings[0].use: "shopfy" is no ready-made mapping') or found.startswith(
        'FILE:2: mappings[0].use "shopfy" is no ready-made mapping; did you mean "shopify"?'
    )


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (
            "mappings: [{use: shopify, sources: pubsub:a}, {use: shopify, sources: pubsub:b}]",
            'FILE:1: mappings[1] has the name "shopify" a second time: set another `name`',
        ),
        (
            "mappings: [{use: debezium-compact, sources: stream:a}, {use: stream-fields, sources: stream:a}]",
            'FILE:1: mappings[1] and "debezium-compact" read stream:a differently: give both the same `entry`',
        ),
        ("mappings: [{use: shopify, sources: 'stream:a*'}]", "sources.streams cannot hold patterns"),
        (
            "mappings: [{use: shopify, sources: 'pubsub:flash_sale:*'}]",
            'sources.pubsub "flash_sale:events" and "flash_sale:*" both match the channel',
        ),
        (
            "mappings: [{use: shopify, sources: 'pubsub:shop:*'}, {use: stripe, sources: pubsub:shop:1}]",
            'sources.pubsub "shop:*" and "shop:1" both match the channel "shop:1", whose messages would count twice',
        ),
        (
            "{redis: {url: 'redis+cluster://localhost', prefix: '{a}:'}, sources: {streams: []}, "
            "mappings: [{use: shopify, sources: 'stream:shop'}]}",
            'sources.streams must have the hash tag of redis.prefix on a Redis Cluster; "shop": name them with one tag',
        ),
    ],
)
def test_a_mapped_source_obeys_what_holds_for_sources(tmp_path: Path, settings: str, expected: str) -> None:
    assert expected in problem(tmp_path, settings + "\n")


def test_a_mapped_stream_in_the_slot_of_a_cluster_is_fine(tmp_path: Path) -> None:
    file = tmp_path / "sidecar.yml"
    file.write_text(
        "{redis: {url: 'redis+cluster://localhost', prefix: '{a}:'}, sources: {streams: []}, "
        "mappings: [{use: shopify, sources: ['stream:{a}:shop', 'pubsub:shop']}]}"
    )
    config = load(str(file), environ={}).config
    assert config.sources.streams == ("{a}:shop",)
    assert config.sources.pubsub == ("flash_sale:events", "shop")


def test_two_mappings_share_a_source(tmp_path: Path) -> None:
    file = tmp_path / "sidecar.yml"
    file.write_text("mappings: [{use: shopify, sources: pubsub:a}, {use: stripe, sources: [pubsub:a, pubsub:b]}]")
    config = load(str(file), environ={}).config
    assert config.sources.pubsub == ("flash_sale:events", "a", "b")
    assert [one.name for one in config.mappings] == ["shopify", "stripe"]


def test_an_error_in_what_is_overridden_names_the_line_of_the_user(tmp_path: Path) -> None:
    text = "mappings:\n  - use: shopify\n    sources: pubsub:a\n    event:\n      amount: {path: total, scale: 99}\n"
    assert problem(tmp_path, text).startswith("FILE:5: ")


@pytest.mark.parametrize("rules", ["abc", "{a: b}", "[abc]", "[[a]]", "[{name: order, event: x}]", "[{name: [a]}]"])
def test_nonsense_in_what_overrides_is_told_like_any_other(tmp_path: Path, rules: str) -> None:
    text = f"mappings:\n  - {{use: shopify, sources: pubsub:a, rules: {rules}, event: {{status: s, order_id: i}}}}\n"
    assert problem(tmp_path, text)
