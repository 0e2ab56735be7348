"""Tables of Accept headers."""

import time

import pytest

from sidecar.exposition.prometheus.negotiation import (
    Format,
    accepts_gzip,
    exposition_format,
    ranges,
    wants_exposition,
    wants_markdown,
)

# What scrapers really send, `Accept` for `Accept`.
PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_2_NATIVE = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,"
    "application/openmetrics-text;version=1.0.0;q=0.8,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROMETHEUS_3_NATIVE = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;"
    "escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
    "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,"
    "text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)
# With `scrape_protocols: [PrometheusProto]`, and with `[PrometheusText0.0.4]`.
PROTOBUF_ALONE = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;"
    "escaping=underscores;q=0.6,*/*;q=0.5"
)
PROMETHEUS_TEXT = "text/plain;version=0.0.4;q=0.6,*/*;q=0.5"
PROMETHEUS_TEXT_1 = "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.6,*/*;q=0.5"
VMAGENT = "text/plain;version=0.0.4;q=1,*/*;q=0.1"
TELEGRAF = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,"
    "text/plain;version=0.0.4;q=0.3"
)
DELIMITED = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
DATADOG = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1"
OPENMETRICS_UTF_8 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
AXIOS = "application/json, text/plain, */*"
CURL = FETCH = "*/*"


@pytest.mark.parametrize(
    ("accept", "format"),
    [
        ("", Format.TEXT),
        (CURL, Format.TEXT),
        (BROWSER, Format.TEXT),
        (AXIOS, Format.TEXT),
        (PROMETHEUS_2, Format.OPENMETRICS),
        (PROMETHEUS_2_NATIVE, Format.PROTOBUF),
        (PROMETHEUS_3, Format.OPENMETRICS),
        (PROMETHEUS_3_NATIVE, Format.PROTOBUF),
        (PROTOBUF_ALONE, Format.PROTOBUF),
        (PROMETHEUS_TEXT, Format.TEXT),
        (PROMETHEUS_TEXT_1, Format.TEXT),
        (VMAGENT, Format.TEXT),
        (TELEGRAF, Format.PROTOBUF),
        (DATADOG, Format.OPENMETRICS),
        (OPENMETRICS_UTF_8, Format.OPENMETRICS),
        ("application/openmetrics-text", Format.OPENMETRICS),
        ("Application/OpenMetrics-Text; Version=1.0.0", Format.OPENMETRICS),
        ('application/openmetrics-text; version="1.0.0"', Format.OPENMETRICS),
        ("application/openmetrics-text;q=0", Format.TEXT),
        ("application/openmetrics-text;version=2.0.0", Format.TEXT),
        ("application/openmetrics-text;version=0.0.1", Format.TEXT),
        ("application/openmetrics-text;q=0.3,text/plain;version=0.0.4;q=0.7", Format.TEXT),
        ("application/openmetrics-text, text/plain", Format.OPENMETRICS),
        (f"text/plain, application/openmetrics-text, {DELIMITED}", Format.PROTOBUF),
        (f"{DELIMITED};q=0.4, application/openmetrics-text;q=0.5, text/plain;q=0.3", Format.OPENMETRICS),
        (f"{DELIMITED};q=0.4, application/openmetrics-text;q=0.3, text/plain;q=0.5", Format.TEXT),
        (f"{DELIMITED};q=0, */*", Format.TEXT),
        (DELIMITED.replace("=delimited", '="delimited"'), Format.PROTOBUF),
        (DELIMITED.replace("delimited", "compact-text"), Format.TEXT),
        (DELIMITED.replace("MetricFamily", "Other"), Format.TEXT),
        ("application/vnd.google.protobuf, text/plain;q=0.1", Format.TEXT),
    ],
)
def test_the_format_with_the_highest_weight_is_chosen(accept: str, format: Format) -> None:
    assert exposition_format(accept) is format


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        (PROMETHEUS_2, True),
        (PROMETHEUS_2_NATIVE, True),
        (PROMETHEUS_3, True),
        (PROMETHEUS_3_NATIVE, True),
        (PROTOBUF_ALONE, True),
        (PROMETHEUS_TEXT, True),
        (PROMETHEUS_TEXT_1, True),
        (VMAGENT, True),
        (TELEGRAF, True),
        (DATADOG, True),
        (OPENMETRICS_UTF_8, True),
        ("application/vnd.google.protobuf", True),
        ("application/vnd.google.protobuf;q=0.5, application/json", False),
        ("application/vnd.google.protobuf, */*", False),
        ("application/openmetrics-text", True),
        ("text/plain;version=0.0.4", True),
        ("text/plain;version=0.0.4, application/json;q=0.9", True),
        ("text/plain;version=0.0.4;q=0.9, application/json;q=0.1, */*", True),
        ("text/plain;version=0.0.4, application/json", False),
        ("text/plain;version=0.0.4, */*", False),
        ("text/plain;version=0.0.4;q=0.5, application/*;q=0.6", False),
        ("text/plain;version=0.0.4;q=oops", False),
        ("text/plain;version=0.0.4;q=1.5", False),
        ("text/plain;version=0.0.4;q=nan", False),
        ("text/plain", False),
        ("application/json", False),
        (BROWSER, False),
        (AXIOS, False),
        (CURL, False),
        (FETCH, False),
        ("", False),
    ],
)
def test_the_exposition_is_wanted_only_with_a_strictly_higher_weight_than_json(accept: str, wanted: bool) -> None:
    assert wants_exposition(accept) is wanted


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("text/markdown", True),
        ("text/markdown, */*", True),
        ("text/markdown;q=0.5, application/json", False),
        ("text/markdown;q=0", False),
        ("*/*", False),
        ("", False),
    ],
)
def test_markdown_is_wanted_only_by_name(accept: str, wanted: bool) -> None:
    assert wants_markdown(accept) is wanted


@pytest.mark.parametrize(
    ("accept_encoding", "accepted"),
    [("gzip", True), ("br, GZIP;q=0.5", True), ("gzip;q=0", False), ("br", False), ("", False), ("*", False)],
)
def test_gzip_is_accepted_only_by_name(accept_encoding: str, accepted: bool) -> None:
    assert accepts_gzip(accept_encoding) is accepted


def test_separators_inside_quotes_separate_nothing() -> None:
    assert [r.name for r in ranges('text/plain; note="a, b; q=0", application/json')] == [
        "text/plain",
        "application/json",
    ]


@pytest.mark.parametrize("header", ['"\\' * 4000, '"' * 8000, ",;=" * 2700, '"\\"' * 2700])
def test_a_hostile_header_is_parsed_in_linear_time(header: str) -> None:
    before = time.process_time()
    ranges(header)
    assert time.process_time() - before < 0.1
