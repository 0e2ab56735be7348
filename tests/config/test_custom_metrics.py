"""Definitions of custom metrics are checked when the configuration is loaded, by Prometheus's rules and ours."""

from pathlib import Path

import pytest

from sidecar.config import load
from sidecar.config.custom_metrics import BUCKETS
from sidecar.core.counts.custom_definition import CustomMetric
from sidecar.errors import ConfigError


def loaded(folder: Path, text: str) -> tuple[CustomMetric, ...]:
    (folder / "sidecar.yml").write_text(f"custom_metrics:\n{text}")
    return load(str(folder / "sidecar.yml"), environ={}).config.custom_metrics


def metric(**settings: str) -> str:
    lines = {"name": "n_total", "type": "counter"} | settings
    return "  - " + "\n    ".join(f"{name}: {value}" for name, value in lines.items() if value)


def test_a_definition_is_read(tmp_path: Path) -> None:
    text = metric(labels="{campaign: voucher}", when="{status: [success, failed]}", max_series="7")
    (found,) = loaded(tmp_path, text)
    assert (found.labels, found.max_series, found.event) == ({"campaign": "voucher"}, 7, "order")
    assert found.when["status"].one_of == ("success", "failed")


def test_a_histogram_has_buckets_by_default(tmp_path: Path) -> None:
    (found,) = loaded(tmp_path, metric(name="n", type="histogram", value="quantity"))
    assert found.buckets == BUCKETS


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "1n_total"}, "is no name of a Prometheus metric"),
        ({"name": "flash_sale_n_total"}, "must not begin with flash_sale_"),
        ({"name": "n"}, "of a counter ends with _total: n_total"),
        ({"type": "gauge", "value": "waiting"}, "of a gauge must not end with _total"),
        ({"name": "n", "type": "gauge"}, "value is missing"),
        ({"buckets": "[1]"}, "buckets are only for histograms"),
        ({"name": "n", "type": "histogram", "value": "amount", "buckets": "[2, 1]"}, "each above the one before"),
        ({"name": "n", "type": "histogram", "value": "amount", "buckets": "[1, much]"}, "must be a number"),
        ({"type": "counts"}, "must be one of counter, gauge, histogram"),
        ({"event": '""'}, "event must be a type of event"),
        ({"max_series": "0"}, "must be from 1 to 10000"),
        ({"labels": "{a: a, b: b, c: c, d: d, e: e, f: f}"}, "must be at most 5"),
        ({"labels": "{le: status}"}, 'cannot hold "le"'),
        ({"labels": "{__a: status}"}, 'cannot hold "__a"'),
        ({"labels": "{a: b..c}"}, 'names the field "b..c"'),
        ({"when": "{a: {}}"}, "a asks nothing"),
        ({"valu": "amount"}, 'did you mean "value"?'),
    ],
)
def test_a_wrong_definition_is_named_with_file_and_line(tmp_path: Path, settings: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, metric(**settings))
    assert str(caught.value).startswith(f"{tmp_path / 'sidecar.yml'}:")
    assert "custom_metrics[0]" in str(caught.value)
    assert message in str(caught.value)


GAUGE = metric(name="n", type="gauge", value="waiting")


@pytest.mark.parametrize("text", [f"{metric()}\n{metric()}", f"{metric()}\n{GAUGE}", "  a: b"])
def test_a_name_stands_once_and_definitions_are_a_list(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="a second time|is a list"):
        loaded(tmp_path, text)
