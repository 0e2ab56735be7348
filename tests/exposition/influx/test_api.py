"""Where a batch goes, and what an answer means."""

import pytest

from sidecar.config import InfluxConfig, Secret
from sidecar.exposition.influx.api import endpoint, headers, judge, secrets


def test_a_database_is_written_as_influxdb_1_wants_it() -> None:
    config = InfluxConfig(url="http://influx:8086/", database="sale", username="ann", password=Secret("pass:wörd"))
    assert endpoint(config) == ("http://influx:8086/write", {"db": "sale", "precision": "ns"})
    assert headers(config)["Authorization"] == "Basic YW5uOnBhc3M6d8O2cmQ="
    assert "Authorization" not in headers(InfluxConfig(url="http://influx:8086", database="sale"))


def test_a_bucket_is_written_as_influxdb_2_wants_it() -> None:
    config = InfluxConfig(url="https://shop/influx", bucket="sale", org="shop", token=Secret("word"))
    parameters = {"bucket": "sale", "precision": "ns", "org": "shop"}
    assert endpoint(config) == ("https://shop/influx/api/v2/write", parameters)
    assert headers(config)["Authorization"] == "Token word"
    without = InfluxConfig(url="https://shop", bucket="sale")
    assert endpoint(without)[1] == {"bucket": "sale", "precision": "ns"}


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        *((status, "written") for status in (200, 204)),
        *((status, "refused") for status in (301, 400, 401, 403, 404, 413, 422, 499)),
        *((status, "again") for status in (408, 429, 500, 502, 503, 504, 520)),
    ],
)
def test_only_what_may_be_better_the_next_time_is_sent_again(status: int, outcome: str) -> None:
    answer = judge(status, b"")
    assert answer.outcome == outcome
    assert bool(answer.problem) == (outcome != "written")


@pytest.mark.parametrize(
    ("status", "body", "problem"),
    [
        (400, b'{"error":"partial write: field type conflict"}', "HTTP 400: partial write: field type conflict"),
        (422, b'{"code":"x","message":"out of range"}', "HTTP 422: out of range"),
        (404, b'{"error":"database not found: \\"x\\""}', 'HTTP 404: database not found: "x": create the database'),
        (401, b"", "HTTP 401: check influx.token, or influx.username"),
        (502, b"<html>\r\n bad gateway", "HTTP 502: <html> bad gateway"),
        (500, b'["odd"]', 'HTTP 500: ["odd"]'),
        (500, b"\xff\xfe" + b"x" * 5000, "HTTP 500: \ufffd\ufffdxxx"),
    ],
)
def test_the_words_of_the_server_are_told_in_one_short_line(status: int, body: bytes, problem: str) -> None:
    told = judge(status, body).problem
    assert told.startswith(problem)
    assert len(told) < 350
    assert told.isprintable()


def test_a_secret_that_the_server_repeats_is_not_told() -> None:
    told = judge(401, b'{"error":"no user ann with s3cret, token t0ken"}', hidden=("", "s3cret", "t0ken")).problem
    assert told.startswith("HTTP 401: no user ann with ***, token ***: check")


@pytest.mark.parametrize(
    "config",
    [
        InfluxConfig(url="http://a", database="sale", username="ann", password=Secret("s3cret")),
        InfluxConfig(url="http://a", bucket="sale", token=Secret("t0ken")),
    ],
)
def test_a_header_that_the_server_repeats_is_not_told(config: InfluxConfig) -> None:
    sent = headers(config)["Authorization"]
    told = judge(400, f"bad header {sent}, {config.token}{config.password}".encode(), hidden=secrets(config)).problem
    assert told == f"HTTP 400: bad header {sent.split()[0]} ***, ***"
