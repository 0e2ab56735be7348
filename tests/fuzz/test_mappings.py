"""Files of mappings and foreign payloads of every kind of nonsense: a file is refused by name, a payload by rule."""

import json
import re
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml

from sidecar.config.mapping_checks import ANY_FIELD
from sidecar.config.mappings import definitions, names, ready_made
from sidecar.config.tree import tree
from sidecar.core.mapping.definition import Condition, Definition, Items, Rule, Value
from sidecar.core.mapping.entries import payload_of
from sidecar.core.mapping.mapping import Chain, Mapping, Outcome
from sidecar.errors import ConfigError
from tests.conftest import Guarantee
from tests.core.mapping.made import NOW
from tests.fuzz.mutations import TOKENS, payload
from tests.guarantees import sizes

CORPUS = Path("tests/corpus")
SEEDS = [file.read_bytes() for file in sorted(CORPUS.glob("*.*")) if file.name not in ("events.json", "index.json")]
KEYS = [name for kind in (Condition, Value, Items, Rule, Definition) for name in kind.__struct_fields__]
WORDS = [
    *("", "~", "true", "null", "0", "-1", "1e9999", "NaN", "é", "\ud800", "\x00", "x" * 300, "<<", "*", "fields", "e"),
    *(
        "a.b",
        "a[0]",
        "[1].a",
        '"a.b"',
        "a..b",
        "a[",
        '"',
        '"\\"',
        "json",
        "base64",
        "drop",
        "reject",
        "UTC",
        "Europe/Berlin",
    ),
    *(
        "paid",
        "success",
        "pubsub:a",
        "stream:a",
        "pubsub:",
        "order",
        "heartbeat",
        "shopify",
        "EUR",
        "s",
        "ns",
        "ms",
        "2",
    ),
    *("id", "status", "amount", "price", "lines", "created_at", "payload.after.status", "data.object.amount"),
]
NAMES = [*KEYS, *ANY_FIELD, "else", *WORDS]


def anything(random: Random, depth: int = 4) -> Any:
    """Return a part of a configuration: a text, a list, or a section with names that mean something."""
    kind = random.random() if depth else 0.0
    if kind < 0.4:
        return random.choice(WORDS)
    if kind < 0.6:
        return [anything(random, depth - 1) for _ in range(random.randrange(4))]
    return {random.choice(NAMES): anything(random, depth - 1) for _ in range(random.randrange(6))}


def changed(random: Random, part: Any) -> Any:
    """Return a ready-made mapping with a few parts of it replaced."""
    if random.random() < 0.008:
        return anything(random, 2)
    if isinstance(part, dict):
        found = {
            key if random.random() > 0.008 else random.choice(NAMES): changed(random, one) for key, one in part.items()
        }
        return found if random.random() > 0.02 else {**found, random.choice(NAMES): anything(random, 2)}
    return [changed(random, one) for one in part] if isinstance(part, list) else part


def mapping_file(random: Random) -> Any:
    """Return a list of mappings: nonsense, a ready-made one that was changed, or one that is overridden by nonsense."""
    kind = random.random()
    if kind < 0.2:
        return anything(random, 5)
    name = random.choice(names())
    if kind < 0.8:
        found = changed(random, yaml.safe_load(ready_made(name)))
        return [{"name": name, "sources": "pubsub:a", **found} if isinstance(found, dict) else found]
    return [{"use": name, "sources": "pubsub:a", **dict.fromkeys(random.sample(KEYS, 2), anything(random))}]


def read(found: Any) -> Chain | None:
    """Return the compiled mappings, `None` if they are refused."""
    text = yaml.dump(found, allow_unicode=True)
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    assert node is not None
    refusal, read_in = "", tuple[Definition, ...]()
    try:
        read_in = definitions(tree(node, "fuzz.yml"))
    except ConfigError as error:
        refusal = str(error)
    if refusal:
        assert re.match(r"[a-z-]+\.yml:\d+: ", refusal), refusal
        return None
    for one in read_in:
        payload_of(one.entry, one.values)([b"a", b"1", b"e", b"{}"])
    return Chain([Mapping(one, currency="EUR") for one in read_in]) if read_in else None


def check(outcomes: list[Outcome]) -> None:
    """Every rejection names the mapping, and the rule if one took it."""
    for outcome in outcomes:
        if outcome.rejection is not None:
            by = f"(mapping {outcome.mapping}, rule {outcome.rule})" if outcome.rule else f"(mapping {outcome.mapping})"
            assert outcome.rejection.detail.endswith(by)
        else:
            assert outcome.rule


@pytest.mark.parametrize("files", sizes(60, 3000, 40_000))
def test_a_file_of_mappings_is_read_or_refused_with_its_line(files: int, seed: int, guarantee: Guarantee) -> None:
    random, good = Random(seed), 0
    for _ in range(files):
        chain = read(mapping_file(random))
        if chain is not None:
            good += 1
            for text in random.sample(SEEDS, 3):
                check([*chain.outcomes(payload(random, [text]) if random.random() < 0.5 else text, NOW)])
    assert 0 < good < files
    guarantee("fuzzing", f"{files} files of mappings, {good} of them good: nothing raises")


# One mapping that has every conversion, of whatever is at `v`.
CONVERSIONS = [
    *("order_id: {path: v, after: /}", "order_id: v", "amount: v", "amount: {path: v, scale: 2}", "ts: v"),
    *("amount: {path: v, decimal_comma: true}", "amount: {path: v, times: w}", "amount: {path: w, times: v}"),
    *("amount: {path: v, divide_by: 0.01}", "amount: {path: v, minor_units: true}, currency: w", "quantity: v"),
    *("latency_ms: {path: v, unit: ns}", "latency_ms: {path: v, unit: s}", "latency_ms: {path: v, since: w}"),
    *("ts: {path: v, zone: Europe/Berlin}", "latency_ms: {path: w, since: v, zone: Asia/Kolkata}", "reason: v"),
    "items: {path: v, item: {product_id: a, quantity: b, amount: {path: v, times: w, minor_units: true}}}",
    "items: {path: [v, w], when: {a: {above: 0}}, item: {product_id: [a.b, a], amount: v}}",
    "producer: v, epoch: w, seq: v",
]
VALUES = [
    *(token for token in TOKENS if token[:1] not in (b"\r", b" ", b"\t")),
    *(
        b'"1.234,50"',
        b'"19.90"',
        b'"PT1M"',
        b'"1h2m"',
        b'"00:00:01"',
        b'"2026-11-29T12:00:00"',
        b'"9999-12-31T23:59:59"',
    ),
    *(b'"0001-01-01T00:00:00"', b"[2026,1,1,0,0]", b"[9999,12,31,23,59,59,999999999]", b'{"scale":2,"value":"AQ=="}'),
    *(
        b'{"units":"1","nanos":-1}',
        b'{"scale":1e5,"value":"/w=="}',
        b'[{"a":1},{"a":{"b":2}}]',
        b'"AAAA"',
        b'"gid://a/1"',
    ),
    *(b'"-1"', b'"1e308"', b"1e308", b"-1e-400", b'"NaN"', b'"sNaN"', b'"Infinity"', b'"\xd9\xa1"', b'" "', b'"1_0"'),
]


@pytest.mark.parametrize("payloads", sizes(1000, 40_000, 400_000))
def test_a_payload_goes_through_every_conversion_and_nothing_raises(
    payloads: int, seed: int, guarantee: Guarantee
) -> None:
    random = Random(seed)
    texts = [
        f"[{{name: m, sources: pubsub:a, rules: [{{event: {{status: {{value: paid}}, {one}}}}}]}}]"
        for one in CONVERSIONS
    ]
    chains = [read(yaml.safe_load(text)) for text in texts]
    rejected = 0
    for _ in range(payloads):
        text = b'{"v":%b,"w":%b}' % (random.choice(VALUES), random.choice(VALUES))
        chain = random.choice(chains)
        assert chain is not None
        outcomes = [*chain.outcomes(text if random.random() < 0.8 else payload(random, [text]), NOW)]
        check(outcomes)
        rejected += sum(outcome.rejection is not None for outcome in outcomes)
        decoded = chain.decode([text], [NOW])
        assert len(decoded.events) + len(decoded.rejections) <= sum(decoded.taken.values())
    guarantee("fuzzing", f"{payloads} payloads through every conversion, {rejected} rejected by name: nothing raises")


def test_the_values_of_entries_are_anything(seed: int) -> None:
    random = Random(seed)
    for _ in range(500):
        pairs = [random.choice(VALUES) for _ in range(2 * random.randrange(4))]
        for entry in (("e",), ("*",), ("fields",)):
            for values in ("text", "json"):
                found = payload_of(entry, values)(pairs)
                if entry == ("fields",) and found is not None:
                    assert isinstance(json.loads(found), dict)
