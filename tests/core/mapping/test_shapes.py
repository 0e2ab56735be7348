"""A payload that is decoded into a shape becomes what it becomes when it is decoded as a whole, whatever it holds."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from sidecar.config.mappings import ready_made_definition
from sidecar.core.events.event import Event
from sidecar.core.mapping.definition import Condition, Definition, Items, Rule, Value
from sidecar.core.mapping.mapping import Mapping, Outcome
from tests.core.mapping.made import NOW, chain, event, rejection

NAMED = ("shopify", "woocommerce", "saleor", "laravel", "debezium-extended")
WITH_EVERYTHING = Definition(
    name="made",
    repeats=("id", "a.b"),
    zone="Europe/Berlin",
    rules=(
        Rule(name="gone", when={"a": Condition(exists=True), "b.c": Condition(equals="x")}, drop=True),
        Rule(
            name="lists",
            when={"lines": Condition(exists=True)},
            event={
                "status": Value(path=("a.s", "s"), words={"x": "failed"}, otherwise="success"),
                "ts": Value(path=("a.t", "t")),
                "amount": Value(path=("a.m", "lines[0].m"), times=("n",), minor_units=True),
                "items": Items(
                    path=("lines", "b.lines", "a"),
                    when={"p.x": Condition(exists=False), "n": Condition(above=Decimal(0))},
                    item={"product_id": Value(path=("p.id", "p", "id")), "quantity": Value(path=("n",))},
                ),
            },
        ),
        Rule(name="rest", event={"status": Value(path=("s",)), "latency_ms": Value(path=("b", "b.c"), unit="s")}),
    ),
)
DEFINITIONS = [*map(ready_made_definition, NAMED), WITH_EVERYTHING]

# Names that the paths have, and one that none has.
NAMES = {
    "made": ["a", "b", "c", "id", "lines", "m", "n", "p", "s", "t", "x", "none"],
    "shopify": [
        "id",
        "line_items",
        "lineItems",
        "edges",
        "node",
        "nodes",
        "price",
        "quantity",
        "product_id",
        "sku",
        "financial_status",
        "cancelled_at",
        "none",
    ],
    "woocommerce": [
        "status",
        "line_items",
        "id",
        "quantity",
        "total",
        "product_id",
        "date_paid_gmt",
        "currency",
        "none",
    ],
    "saleor": [
        "order",
        "status",
        "chargeStatus",
        "total",
        "gross",
        "amount",
        "lines",
        "quantity",
        "productSku",
        "variant",
        "none",
    ],
    "laravel": ["data", "order", "status", "id", "total", "created_at", "quantity", "none"],
    "debezium-extended": [
        "payload",
        "op",
        "after",
        "before",
        "status",
        "source",
        "ts_ms",
        "order_id",
        "amount",
        "none",
    ],
}
SCALARS = [
    *("null", "true", "false", "0", "1", "-1", "2.50", "1e400", "1e-400", "1E5", "1" * 40, "0.1"),
    *('""', '"x"', '"paid"', '"PAID"', '"u"', '"c"', '"2026-03-29T02:30:00"', '"1795953600"', '"19.90"', '"NaN"'),
    *('"\\u0078"', '"\\ud83d\\ude00"', '"é"', '"\\u0000"', '"\\/"', '"completed"', '"42ms"', "1795953600123", '"AAAA"'),
    *('{"scale":2,"value":"B8Y="}', '{"units":1}', "[]", "{}", "[null]", "[[]]", "[{}]"),
]


def texts(names: list[str]) -> st.SearchStrategy[str]:
    """Return JSON of objects with some of these names, perhaps twice, and of anything in any place."""

    def nested(within: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        pairs = st.tuples(st.sampled_from(names), within).map(lambda pair: f"{json.dumps(pair[0])}:{pair[1]}")
        objects = st.lists(pairs, min_size=1, max_size=7).map(lambda found: "{" + ",".join(found) + "}")
        return objects | st.lists(within, max_size=3).map(lambda found: "[" + ", ".join(found) + "]")

    return nested(st.recursive(st.sampled_from(SCALARS), nested, max_leaves=25))


def fields(found: Event | None) -> Any:
    """Return the fields of an event, whatever read it."""
    return found and [getattr(found, name) for name in Event.__struct_fields__]


def told(found: list[Outcome]) -> list[Any]:
    return [(one.mapping, one.rule, fields(one.event), one.rejection, one.adjusted, one.repeats) for one in found]


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda definition: str(definition.name))
@given(data=st.data())
def test_a_shape_and_the_whole_payload_become_the_same(definition: Definition, data: st.DataObject) -> None:
    payload = data.draw(texts(NAMES[definition.name])).encode()
    whole = replace(definition, inner={"nowhere": "json"})  # with it nothing can be skipped
    shaped = told([*Mapping(definition, currency="EUR").outcomes(payload, NOW)])
    assert shaped == told([*Mapping(whole, currency="EUR").outcomes(payload, NOW)])


@given(text=texts(["id", "state", "sku", "n", "at", "none", "status", "lines"]))
@example('{"id":"1","state":"success","sku":"a","n":2,"at":1795953600}')
@example('{"id":"1","state":"success","at":"2026-11-29T12:00:00"}')
@example('{"state":"paid","n":true}')
def test_renamed_fields_become_the_same_decoded_at_once_and_one_by_one(text: str) -> None:
    names = "order_id: id, status: state, product_id: sku, quantity: n, ts: at"
    alone, together = (chain(f"{first} rules: [{{event: {{{names}}}}}]") for first in ("repeats: nowhere,", ""))
    payloads = [text.encode(), b'{"state":"success"}']
    for some in ([payloads[0]], [payloads[1], payloads[0]], [payloads[1]]):
        arrivals = [NOW] * len(some)
        one, other = alone.decode(some, arrivals), together.decode(some, arrivals)
        assert [*map(fields, one.events)] == [*map(fields, other.events)]
        assert (one.arrivals, one.worded) == (other.arrivals, other.worded)
        assert one.rejections == other.rejections
        assert [*one.adjusted.values()] == [*other.adjusted.values()]
        assert one.taken == other.taken


@pytest.mark.parametrize("note", [b'"\xff"', b'"\\ud800"', b'"\x01"', b"01", b"[", b'"\\x"', b"nul"])
def test_what_no_path_names_must_be_json_all_the_same(note: bytes) -> None:
    assert rejection("rules: [{event: {status: s}}]", b'{"s":"paid","note":' + note + b"}").reason == "not_json"


def test_texts_beyond_ascii_are_read() -> None:
    assert event("order_id: id", {"id": "ä", "note": "é"}).order_id == "ä"
    assert event("order_id: id", '{"id":"ä","note":"é"}'.encode()).order_id == "ä"


@pytest.mark.parametrize("path", ['"a\\\\b"', '"a\tb"', '"\x7f"', '"größe"', '"a.b"'])
def test_a_name_may_be_one_that_no_struct_can_have(path: str) -> None:
    name = path.strip('"').replace("\\\\", "\\")
    values = {"order_id": Value(path=(path.replace("\\\\", "\\"),)), "status": Value(value="success")}
    mapping = Mapping(Definition(name="m", rules=(Rule(name="r", event=dict(values)),)), currency="EUR")
    [found] = mapping.outcomes(json.dumps({name: "7"}).encode(), NOW)
    assert found.event is not None
    assert found.event.order_id == "7"


def test_a_list_whose_elements_are_named_elsewhere_is_decoded_as_it_is() -> None:
    items = "items: {path: [lines, more.lines], item: {product_id: sku}}, order_id: more"
    assert event(items, {"lines": [{"sku": "a"}]}).items == event(items, {"more": {"lines": [{"sku": "a"}]}}).items
