"""Custom metrics on a walk, from the contract alone: what is defined, what counts, and what is shown."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from sidecar.core.counts.custom_definition import CustomMetric
from sidecar.core.mapping.definition import Condition

ORDERS = CustomMetric(
    name="walk_orders_total", type="counter", labels={"product": "product_id", "gift": "gift.wrap", "status": "status"}
)
PAID = CustomMetric(
    name="walk_paid_total", type="counter", value="amount", when={"status": Condition(equals="success")}
)
TIMES = CustomMetric(name="walk_ms", type="histogram", value="latency_ms", buckets=(2.5, 700), labels={"s": "status"})
VISITS = CustomMetric(name="walk_visits_total", type="counter", event="visit", value="pages", labels={"s": "status"})
WAITING = CustomMetric(name="walk_waiting", type="gauge", event="queue", value="waiting")
DEFINED = (ORDERS, PAID, TIMES, VISITS, WAITING)
BOUNDS: list[Any] = [*TIMES.buckets, "+Inf"]

Labels = tuple[str, ...]
Values = Counter[tuple[str, Labels, Any]]  # by metric, labels, and which number of the series


@dataclass
class Newest:
    """The newest values of a gauge: nobody says which of those of one time is shown."""

    at: float = 0.0
    values: set[float] = field(default_factory=set)

    def read(self, value: float, at: float) -> None:
        """Take a value."""
        if at > self.at:
            self.at, self.values = at, set()
        if at >= self.at:
            self.values.add(value)


def count(values: Values, kind: str, status: str | None, event: Mapping[str, Any]) -> None:
    """Count an event that is no duplicate; `status` is the canonical one of an order."""
    if kind == "visit":
        _add(values, VISITS, (event.get("status", ""),), Decimal(str(event.get("pages", 0))))
    if status is None:
        return
    gift = event["gift"]["wrap"] if "gift" in event else ""
    _add(values, ORDERS, (event.get("product_id", ""), gift, status), Decimal(1))
    if status == "success" and "amount" in event:
        _add(values, PAID, (), Decimal(str(event["amount"])))
    if "latency_ms" in event:
        values[TIMES.name, (status,), "sum"] += Decimal(str(event["latency_ms"]))  # type: ignore[assignment]
        values[TIMES.name, (status,), BOUNDS[bisect_left(TIMES.buckets, event["latency_ms"])]] += 1


def _add(values: Values, metric: CustomMetric, labels: Labels, number: Decimal) -> None:
    values[metric.name, labels, "value"] += number  # type: ignore[assignment]


def expected(values: Values) -> dict[str, Any]:
    """Return what the JSON shows, but for the gauge."""
    return {metric.name: {"type": metric.type, "series": _series(metric, values)} for metric in DEFINED[:-1]}


def of_gauge(newest: Newest, shown: Mapping[str, Any]) -> Iterator[str]:
    """Compare the gauge."""
    found = [sample["value"] for sample in shown[WAITING.name]["series"]]
    if len(found) != bool(newest.values) or not newest.values.issuperset(found):
        yield f"{WAITING.name} is {found}, not one of {newest.values}"


def samples(values: Values) -> dict[tuple[str, str], float]:
    """Return what Prometheus is shown: values by name and labels, of which the bucket is one."""
    found: dict[tuple[str, str], float] = {}
    for metric in DEFINED[:-1]:
        for one in _series(metric, values):
            labels = one["labels"]
            if metric is not TIMES:
                found[metric.name, _text(labels)] = one["value"]
                continue
            found[f"{metric.name}_sum", _text(labels)] = one["sum"]
            found[f"{metric.name}_count", _text(labels)] = one["count"]
            for bound, number in one["buckets"].items():
                found[f"{metric.name}_bucket", _text({**labels, "le": bound})] = number
    return found


def _series(metric: CustomMetric, values: Values) -> list[dict[str, Any]]:
    found = {labels for name, labels, _ in values if name == metric.name} or ([] if metric.labels else [()])
    return [_sample(metric, labels, values) for labels in sorted(found)]


def _sample(metric: CustomMetric, labels: Labels, values: Values) -> dict[str, Any]:
    named = dict(zip(metric.labels, labels, strict=True))
    if metric is not TIMES:
        return {"labels": named, "value": float(values[metric.name, labels, "value"])}
    each = [values[metric.name, labels, bound] for bound in BOUNDS]
    buckets = {str(bound if bound == "+Inf" else float(bound)): sum(each[: at + 1]) for at, bound in enumerate(BOUNDS)}
    return {"labels": named, "count": sum(each), "sum": float(values[metric.name, labels, "sum"]), "buckets": buckets}


def _text(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f'{name}="{value}"' for name, value in sorted(labels.items())) + "}"
