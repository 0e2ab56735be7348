"""Our families as prometheus-client's, which the tests hold them against."""

from collections.abc import Iterable

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar

from sidecar.exposition.prometheus.text import LAST_OF_A_SET, Family


def as_metric(family: Family, *, created: bool = True) -> Metric:
    """Return the library's own object with the same samples; its text format would make `created` a family more."""
    metric = Metric(family.name, family.help, family.type)
    for column in family.columns:
        for place, (key, value) in enumerate(zip(column.keys, column.values, strict=True)):
            one = column.exemplars.get(place)
            exemplar = None if one is None else Exemplar(one.labels, one.value_seconds, one.ts)
            labels = dict(zip(column.labels, key, strict=True))
            metric.add_sample(family.name + column.suffix, labels, value, exemplar=exemplar)
            if created and family.created is not None and column.suffix in LAST_OF_A_SET:
                metric.add_sample(family.name + "_created", labels, family.created)
    return metric


class Metrics(Collector):
    """What the library's renderings ask of a registry."""

    def __init__(self, families: Iterable[Family], *, created: bool) -> None:
        self._metrics = [as_metric(family, created=created) for family in families]

    def collect(self) -> Iterable[Metric]:
        return [metric for metric in self._metrics if metric.samples]
