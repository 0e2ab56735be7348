"""Redis URLs are read as people write them; what is refused is refused without quoting a password."""

import pytest

from sidecar.errors import ConfigError
from sidecar.redis.url import RedisTarget, join_host_port, parse, split_host_port

READ = {
    "redis://127.0.0.1:6379/0": RedisTarget(kind="tcp", addresses=(("127.0.0.1", 6379),)),
    "redis://shop": RedisTarget(kind="tcp", addresses=(("shop", 6379),)),
    "redis:///3": RedisTarget(kind="tcp", addresses=(("localhost", 6379),), db=3),
    "redis://shop?db=2": RedisTarget(kind="tcp", addresses=(("shop", 6379),), db=2),
    "REDIS://[::1]:7/1": RedisTarget(kind="tcp", addresses=(("::1", 7),), db=1),
    "rediss://ann:p%40ss@shop": RedisTarget(
        kind="tcp", addresses=(("shop", 6379),), username="ann", password="p@ss", tls=True
    ),
    "redis://:a#b@shop": RedisTarget(kind="tcp", addresses=(("shop", 6379),), password="a#b"),
    "redis://:pass@shop": RedisTarget(kind="tcp", addresses=(("shop", 6379),), password="pass"),
    "unix:///run/redis.sock?db=3": RedisTarget(kind="unix", path="/run/redis.sock", db=3),
    "unix://ann:pass@/run/redis.sock": RedisTarget(
        kind="unix", path="/run/redis.sock", username="ann", password="pass"
    ),
    "redis+sentinel://a,b:1,[::1]/sale/4": RedisTarget(
        kind="sentinel", addresses=(("a", 26379), ("b", 1), ("::1", 26379)), service="sale", db=4
    ),
    "redis+sentinel://a/sale": RedisTarget(kind="sentinel", addresses=(("a", 26379),), service="sale"),
    "redis+cluster://a,b:7000": RedisTarget(kind="cluster", addresses=(("a", 6379), ("b", 7000))),
    "redis+cluster://a/0": RedisTarget(kind="cluster", addresses=(("a", 6379),)),
    "redis+cluster://a/3": RedisTarget(kind="cluster", addresses=(("a", 6379),), db=3),
    "rediss+cluster://a": RedisTarget(kind="cluster", addresses=(("a", 6379),), tls=True),
}

REFUSED = {
    "": "must start with redis://",
    "127.0.0.1:6379": "must start with redis://",
    "http://shop": "must start with redis://",
    "redis://a,b": "several hosts",
    "redis://shop:port": "the port must be a number",
    "redis://shop:70000": "the port must be a number",
    "redis://shop:0": "port 0",
    "redis://::1:6379": "in brackets",
    "redis://[::1": r"written \[::1\]:PORT",
    "redis://sh op": "without a host",
    "redis+sentinel://a,,b/sale": "without a host",
    "redis://shop/one": "a database that is not a number",
    "redis://shop?db=x": "a database that is not a number",
    "redis://:pa/ss@shop": "write / as %2F",
    "redis://shop?ssl=1": "an option after",
    "unix://run/redis.sock": "an absolute path",
    "unix://": "an absolute path",
    "redis+sentinel://a,b": "must name the Sentinel service",
}


@pytest.mark.parametrize("url", READ)
def test_a_url_is_read(url: str) -> None:
    target = parse(url)
    expected = READ[url]
    assert (target, target.password) == (expected, expected.password)


@pytest.mark.parametrize("url", REFUSED)
def test_a_wrong_url_is_refused_with_the_mend(url: str) -> None:
    with pytest.raises(ConfigError, match=f"redis.url .*{REFUSED[url]}"):
        parse(url)


@pytest.mark.parametrize("target", READ.values(), ids=READ)
def test_the_display_of_a_target_reads_back_as_the_target_without_its_password(target: RedisTarget) -> None:
    assert "p%40ss" not in target.display
    assert ":pass" not in target.display
    assert parse(target.display, password=target.password) in (
        target,
        # A user in the display is a credential of its own: the one given beside is not mixed with it.
        RedisTarget(**{name: getattr(target, name) for name in target.__struct_fields__ if name != "password"}),
    )


def test_the_repr_of_a_target_has_no_password() -> None:
    assert "pass" not in repr(parse("redis://ann:pass@shop"))


@pytest.mark.parametrize("secret", ["hunter2/x", "hunter2?x", "hunter2#x", "hunter2@x", "hunter2:x", "hunter2 x"])
@pytest.mark.parametrize("start", ["redis", "redis+sentinel", "unix", "redis+cluster", "rediss+", "redis:"])
def test_no_refusal_quotes_a_password_that_was_not_escaped(start: str, secret: str) -> None:
    try:
        shown = parse(f"{start}://ann:{secret}@shop:70000/one").display
    except ConfigError as exc:
        shown = f"{exc} {exc.__cause__}"
    assert "hunter2" not in shown


def test_credentials_beside_the_url_apply_only_where_it_has_none() -> None:
    beside = parse("redis://shop", username="ann", password="pass")
    assert (beside.username, beside.password) == ("ann", "pass")
    inside = parse("redis://bob@shop", username="ann", password="pass")
    assert (inside.username, inside.password) == ("bob", "")


@pytest.mark.parametrize("text", ["127.0.0.1:80", "[::1]:80", "shop:0"])
def test_an_address_is_written_as_it_was_read(text: str) -> None:
    assert join_host_port(*split_host_port(text)) == text
