"""Tables of headers and what they may do."""

import pytest

from sidecar.exposition.access.rules import cross_site, host_allowed, host_name, token_matches

ALLOWED = ("metrics.example", "proxy.example:8443")


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("localhost", "localhost"),
        ("LocalHost:9850", "localhost"),
        ("localhost.:9850", "localhost"),
        ("127.0.0.1:9850", "127.0.0.1"),
        ("[::1]:9850", "::1"),
        ("[::1]", "::1"),
        ("", None),
        (":9850", None),
        ("::1", None),
        ("localhost:port", None),
        ("localhost:9850:1", None),
        ("evil.example@localhost", None),
        ("localhost/path", None),
        ("local host", None),
        ("localhost\n", None),
    ],
)
def test_the_host_is_read_without_port_and_brackets(header: str, name: str | None) -> None:
    assert host_name(header) == name


@pytest.mark.parametrize(
    ("header", "bound", "allowed"),
    [
        ("localhost:9850", "127.0.0.1", True),
        ("127.0.0.1:9850", "127.0.0.1", True),
        ("127.8.8.8", "127.0.0.1", True),
        ("[::1]:9850", "127.0.0.1", True),
        ("localhost:80", "127.0.0.1", True),
        ("metrics.example:9850", "127.0.0.1", True),
        ("METRICS.example", "127.0.0.1", True),
        ("proxy.example:8443", "127.0.0.1", True),
        ("proxy.example:8444", "127.0.0.1", False),
        ("evil.example:9850", "127.0.0.1", False),
        ("localhost.evil.example", "127.0.0.1", False),
        ("evil.metrics.example", "127.0.0.1", False),
        ("10.0.0.7:9850", "127.0.0.1", False),
        ("10.0.0.7:9850", "localhost", False),
        ("10.0.0.7:9850", "::1", False),
        ("10.0.0.7:9850", "0.0.0.0", True),
        ("[2001:db8::1]:9850", "::", True),
        ("10.0.0.7:9850", "", True),
        ("evil.example", "0.0.0.0", False),
        ("2130706433", "0.0.0.0", False),
        ("10.0.0.7", "10.0.0.7", True),
        ("sale-1:9850", "sale-1", True),
        ("sale-2:9850", "sale-1", False),
        (None, "127.0.0.1", False),
        ("", "", False),
    ],
)
def test_a_host_is_allowed_if_it_is_loopback_bound_listed_or_a_literal_on_an_open_bind(
    header: str | None, bound: str, allowed: bool
) -> None:
    assert host_allowed(header, bound, ALLOWED) is allowed


@pytest.mark.parametrize(
    ("expected", "authorization", "matches"),
    [
        ("s3cret", "Bearer s3cret", True),
        ("s3cret", "bearer  s3cret ", True),
        ("schlüssel", "Bearer schlüssel", True),
        ("s3cret", "Bearer s3cre", False),
        ("s3cret", "Bearer S3CRET", False),
        ("s3cret", "Basic s3cret", False),
        ("s3cret", "s3cret", False),
        ("s3cret", "Bearer \udcff", False),
        ("s3cret", "", False),
        ("s3cret", None, False),
        ("", "Bearer ", False),
        ("", None, False),
    ],
)
def test_a_token_matches_only_itself_as_a_bearer(expected: str, authorization: str | None, matches: bool) -> None:
    assert token_matches(expected, authorization) is matches


@pytest.mark.parametrize(
    ("headers", "foreign"),
    [
        ({}, False),
        ({"Sec-Fetch-Site": "same-origin"}, False),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Sec-Fetch-Site": "none"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, True),
        ({"Origin": "http://localhost:9850"}, False),
        ({"Origin": "http://localhost:3000", "Sec-Fetch-Site": "same-site"}, False),
        ({"Origin": "http://evil.example"}, True),
        ({"Origin": "http://localhost.evil.example"}, True),
        ({"Origin": "null"}, True),
        ({"Origin": ""}, True),
        ({"Origin": "http://[::1"}, True),
        ({"Origin": "https://shop.example", "Sec-Fetch-Site": "cross-site"}, False),
        ({"Origin": "https://shop.example:444"}, True),
    ],
)
def test_another_site_is_known_by_origin_or_fetch_metadata(headers: dict[str, str], foreign: bool) -> None:
    assert cross_site({"Host": "localhost:9850"} | headers, ("https://shop.example",)) is foreign
