"""What is wrong with a configuration whose values are all of the right type."""

from typing import Any

import pytest
from msgspec.structs import replace

from sidecar.config.checks import problems
from sidecar.config.structs import (
    Config,
    HttpConfig,
    InfluxConfig,
    LogConfig,
    MetricsConfig,
    OrdersConfig,
    RedisConfig,
    Seconds,
    Secret,
    SourcesConfig,
    WsConfig,
)

GOOD = Config(instance="here")
INFLUX = InfluxConfig(url="http://db:8086", database="shop")
CLUSTER = RedisConfig(url="redis+cluster://here", prefix="{shop}:metrics:")
TAGGED = SourcesConfig(pubsub=(), streams=("{shop}:events",))


def found(**changes: Any) -> dict[str, str]:
    """Return the problems of a configuration with these changes, by setting."""
    return dict(problems(replace(GOOD, **changes)))


def test_the_defaults_have_no_problem() -> None:
    assert found() == {}


@pytest.mark.parametrize(
    "changes",
    [
        {"influx": INFLUX},
        {"influx": InfluxConfig(url="https://db/path", bucket="shop", org="o", token=Secret("t"), ca_file="ca")},
        {"redis": CLUSTER, "sources": TAGGED, "fleet": "{shop}s"},
        {"sources": SourcesConfig(pubsub=("a*", "b"), streams=())},
        {"sources": SourcesConfig(redis_url="rediss://there", redis_ca_file="ca")},
        {"redis": RedisConfig(url="redis+sentinel://there/main", sentinel_password=Secret("s"))},
        {"commit_interval": Seconds(0.01), "lease": Seconds(0.2)},
        {"http": HttpConfig(listen="0.0.0.0:0"), "ws": WsConfig(listen="0.0.0.0:0")},
    ],
)
def test_what_fits_together_is_no_problem(changes: dict[str, Any]) -> None:
    assert found(**changes) == {}


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("redis.prefix", {"redis": RedisConfig(prefix="")}, "not be empty"),
        ("redis.prefix", {"redis": RedisConfig(prefix="a b")}, "whitespace"),
        ("redis.url", {"redis": RedisConfig(url="http://here")}, "redis://"),
        ("redis.ca_file", {"redis": RedisConfig(ca_file="ca")}, "rediss://"),
        ("redis.key_file", {"redis": RedisConfig(url="rediss://here", key_file="k")}, "redis.cert_file"),
        ("redis.sentinel_password", {"redis": RedisConfig(sentinel_password=Secret("s"))}, "redis+sentinel://"),
        ("redis.password", {"redis": RedisConfig(url="redis://ann@here", password=Secret("s"))}, "redis.username"),
        ("redis.prefix", {"redis": replace(CLUSTER, prefix="shop:"), "sources": TAGGED}, '"{shop}:metrics:"'),
        ("sources.streams", {"redis": CLUSTER}, "hash tag"),
        ("fleet", {"redis": CLUSTER, "sources": TAGGED, "fleet": "shops"}, "hash tag"),
        ("sources.redis_username", {"sources": SourcesConfig(redis_username="ann")}, "sources.redis_url"),
        ("sources.redis_ca_file", {"sources": SourcesConfig(redis_url="redis://a", redis_ca_file="c")}, "rediss://"),
        ("sources.streams", {"sources": SourcesConfig(pubsub=(), streams=())}, "at least one"),
        ("sources.streams", {"sources": SourcesConfig(streams=("a*",))}, "patterns"),
        ("sources.streams", {"sources": SourcesConfig(streams=("a\nb",))}, "line break"),
        ("sources.pubsub", {"sources": SourcesConfig(pubsub=("a[",))}, "close the bracket"),
        ("sources.pubsub", {"sources": SourcesConfig(pubsub=("a*", "ab"))}, 'the channel "ab"'),
        ("http.listen", {"http": HttpConfig(listen="9850")}, "HOST:PORT"),
        ("ws.listen", {"ws": WsConfig(listen=":9851")}, "0.0.0.0:PORT"),
        ("ws.listen", {"ws": WsConfig(listen="127.0.0.1:9850")}, "must differ from http.listen"),
        ("http.allowed_hosts", {"http": HttpConfig(allowed_hosts=("*",))}, "host names"),
        ("http.cors_origins", {"http": HttpConfig(cors_origins=("shop.example",))}, "origins of pages"),
        ("ws.origins", {"ws": WsConfig(origins=("https://shop.example",))}, '"shop.example"'),
        ("ws.max_clients", {"ws": WsConfig(max_clients=0)}, "at least 1"),
        ("ws.slow_client_timeout", {"ws": WsConfig(slow_client_timeout=Seconds(0.09))}, "100ms"),
        ("metrics.buckets", {"metrics": MetricsConfig(buckets=())}, "ascending"),
        ("metrics.buckets", {"metrics": MetricsConfig(buckets=(0.0, 1.0))}, "positive"),
        ("metrics.buckets", {"metrics": MetricsConfig(buckets=(1.0, 1.0))}, "ascending"),
        ("metrics.max_products", {"metrics": MetricsConfig(max_products=0)}, "at least 1"),
        ("metrics.max_products", {"metrics": MetricsConfig(max_products=1), "products": ("a", "b")}, "listed, 2"),
        ("metrics.new_series_hold", {"metrics": MetricsConfig(new_series_hold=Seconds(3601))}, "1h"),
        ("influx.url", {"influx": replace(INFLUX, url="db:8086")}, "http://HOST:PORT"),
        ("influx.url", {"influx": replace(INFLUX, url="http://db:0")}, "http://HOST:PORT"),
        ("influx.url", {"influx": replace(INFLUX, url="http://db?db=x")}, "http://HOST:PORT"),
        ("influx.url", {"influx": replace(INFLUX, url="http://ann:pw@db")}, "influx.username"),
        ("influx.ca_file", {"influx": replace(INFLUX, ca_file="ca")}, "https://"),
        ("influx.database", {"influx": replace(INFLUX, bucket="shop")}, "set exactly one of them"),
        ("influx.database", {"influx": replace(INFLUX, database="")}, "set exactly one of them"),
        ("influx.token", {"influx": replace(INFLUX, token=Secret("t"))}, "influx.bucket"),
        ("influx.username", {"influx": replace(INFLUX, database="", bucket="b", username="a")}, "influx.database"),
        ("influx.username", {"influx": replace(INFLUX, username="a:b")}, "colon"),
        ("influx.token", {"influx": replace(INFLUX, database="", bucket="b", token=Secret("é"))}, "ASCII"),
        ("influx.interval", {"influx": replace(INFLUX, interval=Seconds(0.5))}, "1s to 1h"),
        ("commit_interval", {"commit_interval": Seconds(0.009)}, "10ms"),
        ("commit_interval", {"commit_interval": Seconds(61), "lease": Seconds(200)}, "60s"),
        ("lease", {"commit_interval": Seconds(2)}, "at least 6s"),
        ("lease", {"commit_interval": Seconds(0.01), "lease": Seconds(0.1)}, "at least 0.2s"),
        ("currency", {"currency": "euro"}, "ISO 4217"),
        ("products", {"products": ("a", "")}, "empty name"),
        ("refusals", {"refusals": ("a", "b", "a")}, '"a" twice'),
        ("products", {"products": ("x" * 129,)}, "longer than 128 bytes"),
        ("orders.repeats", {"orders": OrdersConfig(repeats="often")}, "ignore, count"),
        ("log.level", {"log": LogConfig(level="loud")}, "debug, info"),
        ("log.format", {"log": LogConfig(format="xml")}, "auto, console, json"),
    ],
)
def test_each_problem_names_its_setting_and_what_would_be_right(name: str, changes: dict[str, Any], words: str) -> None:
    there = found(**changes)
    assert name in there
    assert words in there[name]


def test_without_a_url_influx_is_not_looked_at() -> None:
    assert found(influx=replace(INFLUX, url="", bucket="too", username="a:b")) == {}


def test_on_another_redis_streams_need_no_hash_tag() -> None:
    assert found(redis=CLUSTER, sources=SourcesConfig(redis_url="redis://there")) == {}
