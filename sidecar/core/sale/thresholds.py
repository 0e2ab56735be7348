"""The grammar of the gate: k6's thresholds, with `baseline` on the right side.

    expression = method op value
    method     = "count" | "rate" | "value" | "avg" | "min" | "med" | "max" | "p(" number ")"
    op         = "<" | "<=" | ">" | ">=" | "==" | "===" | "!="
    value      = number | [number "*"] "baseline" | "baseline" "*" number
    number     = digit+ ["." digit+]

The type of a metric decides the methods, as in k6.
"""

import operator
import re
from collections.abc import Callable
from difflib import get_close_matches
from typing import Literal

from msgspec import Struct

MetricKind = Literal["counter", "rate", "trend", "gauge"]
METHODS: dict[MetricKind, tuple[str, ...]] = {
    "counter": ("count", "rate"),
    "rate": ("rate",),
    "trend": ("avg", "min", "med", "max", "p"),
    "gauge": ("value",),
}
# metric -> its type, and the tags that choose a part of it.
METRICS: dict[str, tuple[MetricKind, tuple[str, ...]]] = {
    "orders": ("counter", ("phase", "product")),
    "units_sold": ("counter", ("product",)),
    "revenue": ("counter", ("currency",)),
    "faults": ("counter", ("phase",)),
    "refusals": ("counter", ("phase",)),
    "fault_rate": ("rate", ("phase",)),
    "latency_ms": ("trend", ("phase", "status")),
    "processing_ms": ("trend", ("phase", "status")),
    "sell_out_s": ("trend", ()),
    "queue_waiting": ("gauge", ("queue",)),
    "oversold_units": ("gauge", ("product",)),
    "completeness": ("gauge", ()),
    "unfinished": ("gauge", ()),
}
OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    "<": operator.lt,
    ">=": operator.ge,
    ">": operator.gt,
    "===": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
}
PERCENTILES = (50.0, 90.0, 95.0, 99.0, 99.9)  # those that a report has
NUMBER = r"\d+(?:\.\d+)?"
EXPRESSION = re.compile(r"\s*(.*?)\s*(<=|<|>=|>|===|==|!=)\s*(.*?)\s*")
METHOD = re.compile(rf"(count|rate|value|avg|min|med|max)|p\(({NUMBER})\)")
VALUE = re.compile(rf"({NUMBER})|(?:({NUMBER})\s*\*\s*)?baseline|baseline\s*\*\s*({NUMBER})")
NAME = re.compile(r"([^{}]*)(?:\{([^{}]*)\})?")


class Expression(Struct, frozen=True):
    """A parsed threshold. `percent` is that of `p(N)`; `value` is a factor of the baseline if `relative`."""

    method: str
    op: str
    value: float
    percent: float | None = None
    relative: bool = False

    def holds(self, found: float, limit: float) -> bool:
        """Return whether it holds for a value and a limit."""
        return OPERATORS[self.op](found, limit)


class Subject(Struct, frozen=True):
    """What a threshold is about: a metric, and one of its tags, "" without one."""

    metric: str
    tag: str = ""
    chosen: str = ""


def subject(name: str) -> Subject:
    """Parse `metric` or `metric{tag:value}`. Raises ValueError that says what to write."""
    found = NAME.fullmatch(name.strip())
    metric, text = (found[1].strip(), found[2]) if found else (name, None)
    if metric not in METRICS:
        near = get_close_matches(metric, METRICS, 1)
        guess = f'did you mean "{near[0]}"?' if near else f"there is {', '.join(METRICS)}"
        raise ValueError(f"there is no metric {metric!r}; {guess}")
    if text is None:
        return Subject(metric)
    tag, colon, chosen = (part.strip().strip("'\"") for part in text.partition(":"))
    tags = METRICS[metric][1]
    if tag not in tags or not colon or not chosen:
        allowed = " or ".join(f"{metric}{{{one}:...}}" for one in tags) or f"{metric}, without a tag"
        raise ValueError(f"{name}: write {allowed}")
    return Subject(metric, tag, chosen)


def expression(text: str, metric: str) -> Expression:
    """Parse a threshold of a metric. Raises ValueError that says what to write."""
    parts = EXPRESSION.fullmatch(text)
    if parts is None:
        raise ValueError(f"{text!r}: write a method, an operator and a number, as in p(99)<800")
    method, value = METHOD.fullmatch(parts[1]), VALUE.fullmatch(parts[3])
    kind = METRICS[metric][0]
    name = (method[1] or "p") if method else ""
    if name not in METHODS[kind]:
        allowed = ", ".join("p(N)" if one == "p" else one for one in METHODS[kind])
        raise ValueError(f"{text!r}: {metric} is a {kind}, which has {allowed}")
    if value is None:
        raise ValueError(f"{text!r}: write a plain number without a unit on the right, such as 800, or 1.1*baseline")
    percent = float(method[2]) if method and method[2] else None
    if percent is not None and percent not in PERCENTILES:
        raise ValueError(f"{text!r}: a report has {', '.join(f'p({one:g})' for one in PERCENTILES)}")
    if value[1]:
        return Expression(name, parts[2], float(value[1]), percent)
    return Expression(name, parts[2], float(value[2] or value[3] or 1), percent, relative=True)
