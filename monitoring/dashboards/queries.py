"""PromQL with placeholders, and how it becomes a Grafana query.

Capitals in a query stand for the labels that the variables of a dashboard choose:
`flash_sale_orders_total{SCOPE,status="failed"}`. They match with `=~`, and "All" is `.*`, which also matches a series
without the label: the dashboards work even if no target has an `environment`.
"""

import re
from dataclasses import dataclass

from grafana_foundation_sdk.builders import prometheus
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

DATASOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")

SCOPE = 'environment=~"$environment",instance=~"$instance"'
FILTERS = {
    "SCOPE": SCOPE,
    "PRODUCT": f'{SCOPE},product_id=~"$product"',
    "REDIS": 'environment=~"$environment",instance=~"$redis"',
    "NODE": 'environment=~"$environment",instance=~"$node"',
}

# Two sidecars that count the same product see one stock, not two.
STOCK = "min by (product_id) (flash_sale_inventory_stock_units{PRODUCT})"

# Active sidecars only: a standby shows no such time, or an old one from when it was active. Relative to the scrape:
# relative to the evaluation it would be a saw-tooth as high as the scrape interval.
COMMIT_AGE = """
    max(
      timestamp(flash_sale_sidecar_last_commit_timestamp_seconds{SCOPE})
      - flash_sale_sidecar_last_commit_timestamp_seconds{SCOPE} and on (job, instance) flash_sale_info{SCOPE}
    )
"""

# An alert over several environments has no such label; the watchdog always fires, so it says nothing here.
FIRING = 'ALERTS{alertstate="firing",alertname!="Watchdog",environment=~"$environment|"}'


def firing(severity: str, alerts: str = ".*") -> str:
    """Return the alerts of a severity that fire, of these names."""
    return f'{FIRING.rstrip("}")},severity="{severity}",alertname=~"{alerts}"}}'


@dataclass(frozen=True)
class Query:
    """One query of a panel; `every` is the scrape interval if it is not the data source's 5 s."""

    text: str
    legend: str = ""
    instant: bool = False
    every: str = ""
    exemplars: bool = False

    def build(self, ref_id: str, *, table: bool = False) -> prometheus.Dataquery:
        """Return it as Grafana expects it."""
        query = prometheus.Dataquery().ref_id(ref_id).datasource(DATASOURCE).expr(filled(self.text))
        query = query.legend_format(self.legend).exemplar(self.exemplars)
        query = query.instant() if self.instant or table else query.range()
        if table:
            query.format(PromQueryFormat.TABLE)
        return query.interval(self.every) if self.every else query


def filled(text: str) -> str:
    """Return a query with its filters in place and on one line."""
    one_line = " ".join(text.split())
    return re.sub("|".join(FILTERS), lambda name: FILTERS[name.group()], one_line)
