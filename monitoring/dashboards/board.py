"""The empty dashboard that all start from: time, links, annotations, and the variables that choose what is shown."""

import json
from collections.abc import Mapping
from typing import Any

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as model

from monitoring.dashboards.queries import DATASOURCE, FIRING

Panels = list[Builder[model.Panel]]

TAG = "flash-sale"

# As monitoring/grafana/provisioning/datasources/prometheus.yml calls it.
DATASOURCE_UID = "prometheus"

ALL = model.VariableOption(selected=True, text="All", value="$__all")

# The SDK lacks the texts of an annotation, and the theme, which old versions of Grafana read.
ANNOTATION_WORDS = {"titleFormat": "{{alertname}}", "textFormat": "{{severity}} {{instance}}", "tagKeys": "severity"}
THEME = {"style": "dark"}


def board(uid: str, title: str, description: str) -> build.Dashboard:
    """Return a dashboard that has only the choice of data source and environment."""
    empty = build.Dashboard(title).uid(uid).description(description).tags([TAG]).timezone("browser")
    empty = empty.refresh("5s").time("now-15m", "now").tooltip(model.DashboardCursorSync.CROSSHAIR).editable()
    empty = empty.link(_others()).annotation(_alerts())
    return empty.with_variable(_datasource()).with_variable(_environment())


def choice(name: str, label: str, series: str, by: str) -> build.QueryVariable:
    """Return a variable: any number of the values that label `by` has in a series, all of them by default."""
    values = f"label_values({series}, {by})"
    return _sorted(build.QueryVariable(name).label(label).query(values)).multi(True).current(ALL)


def sidecars() -> build.QueryVariable:
    """Return the variable that chooses sidecars."""
    series = 'flash_sale_sidecar_build_info{environment=~"$environment"}'
    return choice("instance", "Sidecar", series, "instance")


def products() -> build.QueryVariable:
    """Return the variable that chooses products."""
    series = 'flash_sale_product_orders_total{environment=~"$environment",instance=~"$instance"}'
    return choice("product", "Product", series, "product_id")


def arranged(empty: build.Dashboard, rows: Mapping[str, Panels]) -> build.Dashboard:
    """Return the dashboard with panels in rows, by heading."""
    for heading, panels in rows.items():
        empty = empty.with_row(build.Row(heading))
        for panel in panels:
            empty = empty.with_panel(panel)
    return empty


def document(dashboard: build.Dashboard) -> dict[str, Any]:
    """Return a dashboard as Grafana's JSON; panels are numbered in order, so that links to them stay valid."""
    built = dashboard.build()
    for number, panel in enumerate(built.panels or [], start=1):
        panel.id_val = number
    found = encoded(built)
    for annotation in found["annotations"]["list"]:
        annotation |= ANNOTATION_WORDS
    return found | THEME


def encoded(built: model.Dashboard) -> dict[str, Any]:
    """Return it as plain values."""
    found: dict[str, Any] = json.loads(json.dumps(built, cls=JSONEncoder))
    return found


def _environment() -> build.QueryVariable:
    """One at a time: the sum of staging and production means nothing. "All" is for a Prometheus without the label."""
    variable = build.QueryVariable("environment").label("Environment")
    variable = variable.query("label_values(flash_sale_sidecar_build_info, environment)")
    return _sorted(variable).multi(False).current(model.VariableOption(text="production", value="production"))


def _sorted(variable: build.QueryVariable) -> build.QueryVariable:
    variable = variable.datasource(DATASOURCE).refresh(model.VariableRefresh.ON_DASHBOARD_LOAD)
    return variable.sort(model.VariableSort.NATURAL_ASC).include_all(True).all_value(".*")


def _datasource() -> build.DatasourceVariable:
    current = model.VariableOption(selected=True, text="Prometheus", value=DATASOURCE_UID)
    return build.DatasourceVariable("datasource").label("Data source").type("prometheus").current(current)


def _others() -> build.DashboardLink:
    link = build.DashboardLink("Dashboards").type(model.DashboardLinkType.DASHBOARDS).tags([TAG])
    return link.icon("external link").include_vars(True).keep_time(True)


def _alerts() -> build.AnnotationQuery:
    query = build.AnnotationQuery().name("Alerts").datasource(DATASOURCE).enable(True).hide(False)
    return query.expr(FIRING).icon_color("red")
