"""Planned sales: what commands change, when a sale is due, and what survives."""

from typing import Any

import pytest

from sidecar.core.checkpoint.state import dump_state, load_state
from sidecar.core.counts.manifest import Manifest, Marker, PlannedProduct
from sidecar.core.counts.sale import Announcement, Details, Sale
from sidecar.core.counts.sale_record import MOST_NOTES, MOST_SALES, Restock, SalePart, SaleRecord
from sidecar.core.sale.listing import listing
from sidecar.core.sale.records import due, features, refusal
from tests.core.counted import NOW, aggregator, commit, committed, order, shown
from tests.core.sale.commands import say

PLAN = Manifest(
    version="1",
    sale="drop",
    title="Drop",
    kind="rehearsal",
    starts_at=NOW + 60,
    ends_at=NOW + 120,
    drain=10,
    products=(PlannedProduct(id="sku-1", stock=100, safety_stock=5), PlannedProduct(id="sku-2")),
    markers=(Marker(at=NOW + 65, text="push"),),
)
PLANNED = {"drop": SaleRecord(manifest=PLAN)}
RUNS = Sale("drop", "running", NOW, None, "command")
OVER = Sale("drop", "ended", NOW, NOW + 9, "command", "command")


def command(action: Any, id: str | None = None, **details: Any) -> Announcement:
    return Announcement(action=action, id=id, at=NOW, by="command", details=Details(**details))


MARK = command("mark", text="a")
FULL = SaleRecord(markers=(Marker(at=NOW, text="a"),) * MOST_NOTES)
MANY = {f"s{n}": SaleRecord() for n in range(MOST_SALES)}
OTHER = Manifest(version="1", sale="drop", starts_at=NOW)


@pytest.mark.parametrize(
    ("sale", "records", "said", "says"),
    [
        (Sale(), {}, command("stop"), "there is no sale to stop"),
        (Sale(), {}, command("load", "drop", manifest=PLAN), ""),
        (Sale(), PLANNED, command("load", "drop", manifest=PLAN), ""),
        (Sale(), PLANNED, command("load", "drop", manifest=OTHER), "with another content"),
        (Sale(), PLANNED, command("load", "drop", manifest=OTHER, replace=True), ""),
        (RUNS, {"drop": SaleRecord(started_at=NOW)}, command("load", "drop", manifest=PLAN), "has begun"),
        (Sale(), MANY, command("load", "drop", manifest=PLAN), "there are 100 sales"),
        (Sale(), {}, command("delete", "drop"), "there is no sale drop"),
        (RUNS, PLANNED, command("delete", "drop"), "runs: stop it first"),
        (OVER, PLANNED, command("delete", "drop"), ""),
        (Sale(), PLANNED, MARK, "there is no such sale now"),
        (RUNS, PLANNED, command("mark", "other", text="a"), "there is no such sale now"),
        (OVER, PLANNED, MARK, ""),
        (RUNS, {"drop": FULL}, MARK, "takes 1000 markers"),
    ],
)
def test_a_command_applies_or_says_why_not(
    sale: Sale, records: dict[str, SaleRecord], said: Announcement, says: str
) -> None:
    found = refusal(sale, records, said)
    assert says in found
    assert bool(says) == bool(found)


@pytest.mark.parametrize(
    ("sale", "records", "at", "what"),
    [
        (Sale(), PLANNED, 59, []),
        (Sale(), PLANNED, 60, [("start", "drop", 60)]),
        (Sale(), PLANNED, 119, [("start", "drop", 60)]),
        (Sale(), PLANNED, 120, []),  # nobody was there
        (Sale(), {"drop": SaleRecord(manifest=PLAN, started_at=NOW)}, 61, []),
        (RUNS, {"drop": SaleRecord(manifest=PLAN, started_at=NOW)}, 129, []),
        (RUNS, {"drop": SaleRecord(manifest=PLAN, started_at=NOW)}, 130, [("stop", "drop", 120)]),
        (RUNS, {"drop": SaleRecord(manifest=OTHER, started_at=NOW)}, 9999, []),  # it has no end
        (Sale(), {"drop": SaleRecord(manifest=OTHER)}, 9999, [("start", "drop", 0)]),
    ],
)
def test_a_planned_sale_starts_and_ends_at_its_times(
    sale: Sale, records: dict[str, SaleRecord], at: float, what: list[tuple[str, str, float]]
) -> None:
    assert [(one.action, one.id, one.at - NOW) for one in due(sale, records, NOW + at)] == what


def test_a_sale_goes_from_its_plan_to_its_end_by_itself_through_crashes_and_clears() -> None:
    aggregate = aggregator()
    say(aggregate, "load", "drop", manifest=PLAN)
    for after in (0, 1, 59, 60):
        commit(aggregate, NOW + after)
        assert (aggregate.committed.total.sale.state == "running") == (after == 60)
        fields = aggregate.fields()
        aggregate = aggregator()
        aggregate.load(fields, same_generation=False)
    aggregate.clear(NOW + 61)
    commit(aggregate, NOW + 61)
    assert aggregate.committed.total.sale == Sale("drop", "running", NOW + 60, None, "manifest", None, "rehearsal")
    snapshot = shown(aggregate, NOW + 61)
    assert (snapshot.sale.kind, list(snapshot.orders.by_product)) == ("rehearsal", ["sku-1", "sku-2"])
    commit(aggregate, NOW + 131)
    record = aggregate.committed.sales["drop"].record
    assert (record.started_at, record.ended_at) == (NOW + 60, NOW + 120)
    assert aggregate.committed.total.sale.ended_by == "manifest"


def test_another_sale_ends_the_one_before() -> None:
    aggregate = aggregator()
    say(aggregate, "start", "first")
    commit(aggregate, NOW)
    say(aggregate, "start", "second", at=NOW + 5)
    commit(aggregate, NOW + 5)
    ends = {id: part.record.ended_at for id, part in aggregate.committed.sales.items()}
    assert ends == {"first": NOW + 5, "second": None}


def test_a_manifest_is_replaced_and_deleted() -> None:
    aggregate = aggregator()
    say(aggregate, "load", "drop", manifest=PLAN)
    commit(aggregate, NOW)
    changed = aggregate.committed.sales["drop"].record.changed_at
    say(aggregate, "load", "drop", manifest=PLAN, at=NOW + 1)
    commit(aggregate, NOW + 1)
    assert aggregate.committed.sales["drop"].record.changed_at == changed
    say(aggregate, "load", "drop", manifest=OTHER, replace=True, at=NOW + 2)
    commit(aggregate, NOW + 2)
    assert aggregate.committed.sales["drop"].record.manifest == OTHER
    commit(aggregate, NOW + 3)  # it is due
    say(aggregate, "stop", "drop", at=NOW + 4)
    commit(aggregate, NOW + 4)
    say(aggregate, "delete", "drop", at=NOW + 5)
    assert ("sales", "drop") in commit(aggregate, NOW + 5).removed
    assert aggregate.committed.sales == {}


def test_the_present_sale_takes_notes_even_without_an_id() -> None:
    aggregate = committed(order())
    say(aggregate, "mark", text="push", details_at=NOW - 3)
    commit(aggregate, NOW)
    say(aggregate, "restock", product_id="a", units=50)
    commit(aggregate, NOW + 1)
    records = {id: part.record for id, part in aggregate.committed.sales.items()}
    [one] = listing(records, aggregate.committed.total.sale)
    assert (one.id, one.markers, one.restocks) == (
        None,
        (Marker(at=NOW - 3, text="push"),),
        (Restock(NOW, "a", 50),),
    )
    [one] = listing(records, Sale(state="running", started_at=NOW + 7200, started_by="orders"))
    assert (one.state, one.markers) == ("running", ()), "another sale has notes of its own"


def test_a_list_has_every_sale_with_the_newest_first() -> None:
    records = {
        **PLANNED,
        "": SaleRecord(started_at=NOW - 9),
        "past": SaleRecord(started_at=NOW - 99, ended_at=NOW - 9),
    }
    found = listing(records, RUNS)
    assert [(one.id, one.state) for one in found] == [("drop", "running"), ("past", "ended")]
    assert (found[0].kind, found[0].starts_at, found[1].starts_at) == ("rehearsal", NOW + 60, None)
    assert [one.state for one in listing(PLANNED, Sale())] == ["planned"]


def test_what_is_missing_in_a_manifest_turns_a_feature_off() -> None:
    assert not any(features(None).values())
    assert [name for name, on in features(PLAN).items() if on] == [
        "start and end by themselves",
        "share of the stock sold",
    ]


def test_units_that_are_not_for_sale_are_no_stock() -> None:
    aggregate = committed({"type": "inventory", "product_id": "sku-1", "stock": 5})
    aggregate.committed.sales["drop"] = SalePart(PLANNED["drop"])
    aggregate.committed.total.sale = RUNS
    assert shown(aggregate).inventory["sku-1"].sell_out.state == "sold_out"


def test_of_two_sidecars_the_record_that_changed_last_is_shown() -> None:
    one, other = SalePart(SaleRecord(changed_at=1.0)), SalePart(SaleRecord(changed_at=2.0))
    one.merge(other)
    assert one.record.changed_at == 2.0
    aggregate = committed(order())
    aggregate.committed.sales["drop"] = SalePart(PLANNED["drop"])
    assert load_state(dump_state(aggregate.committed)).sales["drop"].record == PLANNED["drop"]


def test_the_id_of_a_sale_can_be_planned_again() -> None:
    assert [(one.state, one.started_at) for one in listing(PLANNED, OVER)] == [("planned", None)]
