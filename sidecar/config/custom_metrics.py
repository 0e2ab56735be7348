"""The list `custom_metrics`: what each definition must be, by Prometheus's rules and ours."""

import math
import re
from collections.abc import Iterator

from msgspec.structs import replace

from sidecar.config.mapping_checks import condition_problems
from sidecar.config.nearest import did_you_mean, nearest
from sidecar.config.tree import Tree, YamlList, build, fail
from sidecar.core.counts.custom_definition import CustomMetric, built_in
from sidecar.core.mapping.paths import steps_of

NAME = re.compile("[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL = re.compile("(?!__)[a-zA-Z_][a-zA-Z0-9_]*")
OURS = ("flash_sale_", "process_", "python_")
RESERVED = ("le", "quantile", "environment", "instance", "metric")  # some of outputs that have tags of their own
SUFFIXES = ("_total", "_bucket", "_count", "_sum", "_created", "_info")
BUCKETS = (1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0)
MOST_SERIES = 10_000
MOST_LABELS = 5


def custom_metrics(found: Tree) -> tuple[CustomMetric, ...]:
    """Return the definitions of a configuration. Raises ConfigError for the first thing that is wrong."""
    if not isinstance(found, YamlList):
        raise fail(found, "custom_metrics", "is a list: write `- name: NAME` below it")
    result: list[CustomMetric] = []
    for at, one in enumerate(found):
        where = f"custom_metrics[{at}]"
        metric: CustomMetric = build(CustomMetric, one, where)
        if metric.type == "histogram" and not metric.buckets:
            metric = replace(metric, buckets=BUCKETS)
        for setting, problem in _problems(metric):
            raise fail(one.get(setting, one), f"{where}.{setting}", problem)
        if _family(metric) in map(_family, result):
            raise fail(one, where, f'has the name "{metric.name}" a second time (Prometheus names it without _total)')
        result.append(metric)
    return tuple(result)


def _family(metric: CustomMetric) -> str:
    """Return the name of the family in OpenMetrics, which must be unique."""
    return metric.name.removesuffix("_total")


def _problems(metric: CustomMetric) -> Iterator[tuple[str, str]]:
    if not NAME.fullmatch(metric.name):
        yield "name", f'is no name of a Prometheus metric: "{metric.name}"; use letters, digits and _'
    if metric.name.startswith(OURS):
        yield "name", f"must not begin with {', '.join(OURS)}: these are the names of other metrics"
    if metric.type == "counter" and not metric.name.endswith("_total"):
        yield "name", f"of a counter ends with _total: {metric.name}_total"
    if metric.type != "counter" and metric.name.endswith(SUFFIXES):
        yield "name", f"of a {metric.type} must not end with {', '.join(SUFFIXES)}"
    if metric.type != "counter" and not metric.value:
        yield "value", f"is missing: say which field of the event the {metric.type} is about"
    if metric.buckets and metric.type != "histogram":
        yield "buckets", "are only for histograms"
    if not all(map(math.isfinite, metric.buckets)) or list(metric.buckets) != sorted(set(metric.buckets)):
        yield "buckets", "must be numbers, each above the one before"
    if not metric.event:
        yield "event", "must be a type of event, such as order"
    if not 1 <= metric.max_series <= MOST_SERIES:
        yield "max_series", f"must be from 1 to {MOST_SERIES}"
    if len(metric.labels) > MOST_LABELS:
        yield "labels", f"must be at most {MOST_LABELS}: every combination of values is a series"
    for label in metric.labels:
        if not LABEL.fullmatch(label) or label in RESERVED:
            yield "labels", f'cannot hold "{label}": use letters, digits and _, and not {", ".join(RESERVED)}'
    yield from _fields(metric)


def _fields(metric: CustomMetric) -> Iterator[tuple[str, str]]:
    for path, condition in metric.when.items():
        yield from (("when", f"{path} {problem}") for problem in condition_problems(condition))
    known = built_in(metric.event)
    named = [("value", metric.value), *(("labels", field) for field in metric.labels.values())]
    for setting, field in [*named, *(("when", field) for field in metric.when)]:
        if field and field not in known:
            try:
                steps_of(field)
            except ValueError as exc:
                yield (
                    setting,
                    f'names the field "{field}", which {exc}{did_you_mean(nearest(field, known))}',
                )
