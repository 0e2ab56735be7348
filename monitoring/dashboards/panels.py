"""Panels: one function per kind. They return the SDK's builders, so that a dashboard can add its own settings.

Widths are 6, 12 or 24 of Grafana's 24 columns: a phone stacks the panels, and each stays legible alone.
"""

from collections.abc import Mapping
from dataclasses import replace
from string import ascii_uppercase
from typing import TypeVar

from grafana_foundation_sdk.builders import bargauge, common, gauge, piechart, stat, table, timeseries
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import common as look
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.piechart import PieChartLegendValues, PieChartType

from monitoring.dashboards.queries import DATASOURCE, Query, firing

Panel = TypeVar("Panel", bargauge.Panel, gauge.Panel, piechart.Panel, stat.Panel, timeseries.Panel)

PER_SECOND = "suffix:/s"  # Grafana puts a space before it
PER_MINUTE = "suffix:/min"

# Where Grafana serves docs/runbooks, mounted into its public folder. Or use the address of your copy of them.
RUNBOOKS = "/public/runbooks"

LAST = ["lastNotNull"]

UP = {1: ("up", "green"), 0: ("down", "red")}

# Green, orange and red judge the current moment. A value that has no good or bad, or is unknown, is blue.
NEUTRAL = "blue"
NOTHING = model.SpecialValueMap(
    options=model.DashboardSpecialValueMapOptions(
        match=model.SpecialValueMatch.NULL_AND_NAN, result=model.ValueMappingResult(color=NEUTRAL)
    )
)
SEVERITIES = {"critical": "red", "warning": "orange", "info": NEUTRAL}

# The same thing has the same colour on every dashboard.
COLOURS = {
    "success": "green",
    "bought": "green",
    "failed": "red",
    "faults": "red",
    "went wrong": "red",
    "refusals": "orange",
    "turned away": "orange",
    "cancelled": "purple",
    "in flight": "blue",
    "pending": "blue",
}


def number(title: str, description: str, unit: str, *queries: Query) -> stat.Panel:
    """Big numbers, with the recent past behind them."""
    panel = _described(stat.Panel(), title, description, unit, *queries).span(6).height(4)
    panel = panel.reduce_options(_newest()).graph_mode(look.BigValueGraphMode.AREA)
    return panel.color_mode(look.BigValueColorMode.VALUE).thresholds(steps(NEUTRAL))


def verdict(title: str, description: str, unit: str, thresholds: build.ThresholdsConfig, *queries: Query) -> stat.Panel:
    """Big numbers with a colour, of now: a query over a range would show the last value, however old."""
    panel = number(title, description, unit, *(replace(query, instant=True) for query in queries))
    return panel.graph_mode(look.BigValueGraphMode.NONE).thresholds(thresholds).mappings([NOTHING])


def light(title: str, description: str, words: Mapping[int, tuple[str, str]], *queries: Query) -> stat.Panel:
    """Words on a colour instead of numbers: `words` maps a value to a word and its colour."""
    panel = number(title, description, "none", *queries).graph_mode(look.BigValueGraphMode.NONE)
    options = {
        str(value): model.ValueMappingResult(text=word, color=colour, index=index)
        for index, (value, (word, colour)) in enumerate(words.items())
    }
    return panel.color_mode(look.BigValueColorMode.BACKGROUND).mappings([model.ValueMap(options=options), NOTHING])


def named(panel: stat.Panel) -> stat.Panel:
    """Show the name beside the number even if there is only one."""
    return panel.text_mode(look.BigValueTextMode.VALUE_AND_NAME)


def alerts() -> stat.Panel:
    """The alerts that fire, each with a link to its runbook."""
    description = (
        "Alerts that fire now, by name, and how many of each: red is critical, orange a warning, blue good to know. "
        "Click one to open its runbook, which says what to do."
    )
    queries = [Query(f"count by (alertname) ({firing(one)})", "{{alertname}}", instant=True) for one in SEVERITIES]
    panel = named(number("Alerts firing", description, "short", *queries))
    for ref_id, colour in zip(ascii_uppercase, SEVERITIES.values(), strict=False):
        panel.override_by_query(ref_id, [_fixed(colour)])
    runbook = build.DashboardLink("Runbook").url(f"{RUNBOOKS}/${{__field.labels.alertname}}.md").target_blank(True)
    panel = panel.thresholds(steps("green")).no_value("none")
    return panel.graph_mode(look.BigValueGraphMode.NONE).data_links([runbook])


def lines(title: str, description: str, unit: str, *queries: Query) -> timeseries.Panel:
    """Curves over time, with their newest and highest values in the legend."""
    panel = _described(timeseries.Panel(), title, description, unit, *queries).span(12).height(8)
    legend = common.VizLegendOptions().show_legend(True).placement(look.LegendPlacement.BOTTOM)
    legend = legend.display_mode(look.LegendDisplayMode.TABLE).calcs([*LAST, "max"])
    tooltip = common.VizTooltipOptions().mode(look.TooltipDisplayMode.MULTI).sort(look.SortOrder.DESCENDING)
    panel = panel.legend(legend).tooltip(tooltip).min(0).line_width(2).fill_opacity(10)
    return panel.show_points(look.VisibilityMode.NEVER)


def stacked(panel: timeseries.Panel) -> timeseries.Panel:
    """Stack the curves, if their sum means something."""
    return panel.stacking(common.StackingConfig().mode(look.StackingMode.NORMAL)).fill_opacity(40)


def dial(title: str, description: str, unit: str, *queries: Query) -> gauge.Panel:
    """A dial with coloured zones, which judge the current moment."""
    now = (replace(query, instant=True) for query in queries)
    panel = _described(gauge.Panel(), title, description, unit, *now).span(6).height(8)
    return panel.reduce_options(_newest()).min(0).mappings([NOTHING])


def pie(title: str, description: str, unit: str, *queries: Query) -> piechart.Panel:
    """Shares of a whole."""
    panel = _described(piechart.Panel(), title, description, unit, *queries).span(12).height(8)
    legend = piechart.PieChartLegendOptions().show_legend(True).placement(look.LegendPlacement.RIGHT)
    legend = legend.display_mode(look.LegendDisplayMode.TABLE)
    legend = legend.values([PieChartLegendValues.VALUE, PieChartLegendValues.PERCENT])
    return panel.pie_type(PieChartType.DONUT).legend(legend).reduce_options(_newest())


def bars(title: str, description: str, unit: str, *queries: Query) -> bargauge.Panel:
    """One horizontal bar per series."""
    panel = _described(bargauge.Panel(), title, description, unit, *queries).span(12).height(8)
    panel = panel.orientation(look.VizOrientation.HORIZONTAL).display_mode(look.BarGaugeDisplayMode.BASIC)
    return panel.reduce_options(_newest()).min(0).thresholds(steps(NEUTRAL)).mappings([NOTHING])


def grid(title: str, description: str, columns: Mapping[str, tuple[Query, str]], key: tuple[str, str]) -> table.Panel:
    """A table: `columns` maps a heading to its query and unit, `key` is the label that joins them and its heading."""
    panel = table.Panel().title(title).description(description).datasource(DATASOURCE).span(12).height(8)
    refs = dict(zip(columns, ascii_uppercase, strict=False))
    for heading, (query, unit) in columns.items():
        panel.with_target(query.build(refs[heading], table=True))
        panel.override_by_name(heading, [model.DynamicConfigValue(id_val="unit", value=unit)])
    label, label_heading = key
    names = {label: label_heading} | {f"Value #{ref}": heading for heading, ref in refs.items()}
    organize = {"excludeByName": {"Time": True}, "indexByName": {}, "renameByName": names}
    panel.with_transformation(model.DataTransformerConfig(id_val="merge", options={}))
    return panel.with_transformation(model.DataTransformerConfig(id_val="organize", options=organize))


def coloured(panel: Panel, *names: str) -> Panel:
    """Give series their colours, by the names in the legend."""
    for name in names:
        panel.override_by_name(name, [_fixed(COLOURS[name])])
    return panel


def steps(base: str, *above: tuple[float, str]) -> build.ThresholdsConfig:
    """Return thresholds: a base colour, and the colours above certain values."""
    rest = [model.Threshold(value=value, color=colour) for value, colour in above]
    thresholds = [model.Threshold(value=None, color=base), *rest]
    return build.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(thresholds)


def _described(panel: Panel, title: str, description: str, unit: str, *queries: Query) -> Panel:
    panel.title(title).description(description).unit(unit).datasource(DATASOURCE)
    for ref_id, query in zip(ascii_uppercase, queries, strict=False):
        panel.with_target(query.build(ref_id))
    return panel


def _fixed(colour: str) -> model.DynamicConfigValue:
    return model.DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": colour})


def _newest() -> common.ReduceDataOptions:
    return common.ReduceDataOptions().calcs(LAST).values(False)
