"""What members of a fleet stored of the same sale is merged."""

from sidecar.core.counts.manifest import Manifest, PlannedProduct
from sidecar.core.counts.sale_record import SalePart, SaleRecord
from sidecar.core.counts.slo_alert import SloAlert, SloPart

T0 = 1_790_000_000.0


def test_of_two_records_the_one_that_changed_later_counts() -> None:
    part = SalePart(SaleRecord(changed_at=T0))
    part.merge(SalePart(SaleRecord(changed_at=T0 - 1)))
    twin = part.copy()
    twin.merge(SalePart(SaleRecord(changed_at=T0 + 1)))
    assert [one.record.changed_at for one in (part, twin)] == [T0, T0 + 1]


def test_of_two_alerts_the_one_that_was_seen_later_counts() -> None:
    part = SloPart(SloAlert(page_since=T0, page_seen=T0))
    part.merge(SloPart(SloAlert(page_since=T0 - 9, page_seen=T0 + 1)))
    part.merge(SloPart(SloAlert()))
    assert part.alert.page_since == T0 - 9
    twin = part.copy()
    twin.merge(SloPart(SloAlert(page_since=T0, page_seen=T0 + 2)))
    assert (part.alert.page_since, twin.alert.page_since) == (T0 - 9, T0)


def test_a_product_without_a_plan_has_no_safety_stock() -> None:
    manifest = Manifest(version="1", sale="drop", starts_at=T0, products=(PlannedProduct(id="a", safety_stock=3),))
    assert (manifest.safety_stock("a"), manifest.safety_stock("b")) == (3, 0)
