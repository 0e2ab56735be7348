"""What each setting may be, and which settings exclude or need each other. Checked in the order of the file."""

import itertools
import re
import urllib.parse
from collections.abc import Generator, Iterator

from msgspec.structs import asdict

from sidecar.config import hosts
from sidecar.config.flat import flatten
from sidecar.config.structs import LOG_FORMATS, LOG_LEVELS, REPEATS, Config, InfluxConfig, RedisConfig
from sidecar.core.events import channels
from sidecar.core.events.event import MAX_ID_BYTES
from sidecar.errors import ConfigError
from sidecar.redis import url as redis_url
from sidecar.redis.slots import hash_tag
from sidecar.redis.url import RedisTarget

# Below 10 ms Redis does little but commit; above a minute a crash loses too many pub/sub messages.
COMMIT_INTERVAL_SECONDS = (0.01, 60.0)
# A lease must outlive a slow commit or two on a busy machine.
LEASE_INTERVALS = 3
MIN_LEASE_SECONDS = 0.2
MIN_SLOW_CLIENT_SECONDS = 0.1
MIN_RECORDER_BYTES = 10_000_000
MAX_NEW_SERIES_HOLD_SECONDS = 3600.0
# More often there is hardly anything new; less often a sale may be over before it shows.
INFLUX_INTERVAL_SECONDS = (1.0, 3600.0)
JAVA_AS_TEXT = "\u00ac\u00ed\0\5"  # how a name begins whose bytes YAML read as characters, in double quotes

SettingProblem = tuple[str, str]


def problems(config: Config) -> Iterator[SettingProblem]:
    """Yield (dotted name, what is wrong and how to fix it) for each problem."""
    yield from _redis(config)
    yield from _sources(config)
    yield from _servers(config)
    yield from _metrics(config)
    if config.influx.url:
        yield from _influx(config.influx)
    if config.recorder.max_bytes < MIN_RECORDER_BYTES:
        yield "recorder.max_bytes", f"must be at least {MIN_RECORDER_BYTES}"
    yield from _timing(config)
    yield from _names(config)
    for name, value, allowed in (
        ("orders.repeats", config.orders.repeats, REPEATS),
        ("log.level", config.log.level, LOG_LEVELS),
        ("log.format", config.log.format, LOG_FORMATS),
    ):
        if value not in allowed:
            yield name, f"must be one of {', '.join(allowed)}"


def _redis(config: Config) -> Iterator[SettingProblem]:
    prefix = config.redis.prefix
    if not prefix or any(character.isspace() for character in prefix):
        yield "redis.prefix", "must not be empty and must not contain whitespace"
    target = yield from redis_target(config.redis)
    if target is not None and target.kind == "cluster":
        # Streams on another Redis need not share a slot with the prefix.
        yield from _cluster(prefix, () if config.apart else config.sources.streams)
        if config.fleet and hash_tag(config.fleet) != hash_tag(prefix):
            yield "fleet", "must have the hash tag of redis.prefix on a Redis Cluster, and the whole fleet the same one"


def redis_target(redis: RedisConfig) -> Generator[SettingProblem, None, RedisTarget | None]:
    """Check a URL and its related settings; return the parsed URL."""
    url = f"{redis.settings}url"
    try:
        target = redis.target
    except ConfigError as exc:
        yield url, str(exc).removeprefix("redis.url ")
        return None
    for name in ("ca_file", "cert_file", "key_file"):
        if getattr(redis, name) and not target.tls:
            yield f"{redis.settings}{name}", f"is only used with TLS: let {url} start with rediss://"
    if redis.key_file and not redis.cert_file:
        yield f"{redis.settings}key_file", f"is only used with a certificate: name it in {redis.settings}cert_file"
    for name in ("sentinel_username", "sentinel_password"):
        if getattr(redis, name) and target.kind != "sentinel":
            yield f"{redis.settings}{name}", f"is only used with Sentinels: let {url} start with redis+sentinel://"
    if redis.password and target.username and not target.password:
        yield (
            f"{redis.settings}password",
            f"is not used: {url} names a user without one; name the user in {redis.settings}username instead",
        )
    return target


def _cluster(prefix: str, streams: tuple[str, ...]) -> Iterator[SettingProblem]:
    """Check that streams and prefix are in one slot: on a Cluster they must fail over together."""
    tag = hash_tag(prefix) or next(filter(None, map(hash_tag, streams)), "flash_sale")
    names = f'name them with one tag, as in redis.prefix "{{{tag}}}:metrics:" and sources.streams "{{{tag}}}:events"'
    if not hash_tag(prefix):
        yield "redis.prefix", f"needs a hash tag on a Redis Cluster: {names}"
    for stream in streams:
        if hash_tag(stream) != hash_tag(prefix):
            yield "sources.streams", f'must have the hash tag of redis.prefix on a Redis Cluster; "{stream}": {names}'


def _sources(config: Config) -> Iterator[SettingProblem]:
    sources = config.sources
    if sources.redis_url:
        yield from redis_target(config.events)
    else:
        for name, value in asdict(sources).items():
            if name.startswith("redis_") and value and not name.endswith("password_file"):
                yield f"sources.{name}", "is only used with sources.redis_url: the events come through redis.url"
    if not config.sources.pubsub and not config.sources.streams:
        yield "sources.streams", "and sources.pubsub are both empty: name at least one channel or stream"
    if any("*" in name for name in config.sources.streams):
        yield "sources.streams", "cannot hold patterns: only sources.pubsub takes names with *"
    yield from _channels(sources.pubsub)
    for key in ("pubsub", "streams"):
        if broken := next((name for name in getattr(sources, key) if "\n" in name), None):
            yield f"sources.{key}", f"must not contain a line break, as {broken!r} does"
        if broken := next((name for name in getattr(sources, key) if name.startswith(JAVA_AS_TEXT)), None):
            escaped = broken.encode("latin-1", "backslashreplace").decode("latin-1").encode("unicode_escape").decode()
            yield f"sources.{key}", f"must have bytes in single quotes, as in '{escaped}'"


def _channels(names: tuple[str, ...]) -> Iterator[SettingProblem]:
    """Check that no message matches two subscriptions: it would count twice."""
    for name in names:
        if name and channels.shared(name, name) is None:
            yield "sources.pubsub", f'has "{name}", which matches no channel: close the bracket, or write \\[ for a ['
    for one, other in itertools.combinations(dict.fromkeys(names), 2):
        if (channel := channels.shared(one, other)) is not None:
            both = f'"{one}" and "{other}" both match the channel "{channel}"'
            yield "sources.pubsub", f"{both}, whose messages would count twice: keep one of them"


def _servers(config: Config) -> Iterator[SettingProblem]:
    addresses = {}
    for name, text in (("http.listen", config.http.listen), ("ws.listen", config.ws.listen)):
        try:
            addresses[name] = redis_url.split_host_port(text)
        except ValueError as exc:
            yield name, f"must be HOST:PORT: {exc}"
            continue
        if not addresses[name][0] or any(character.isspace() for character in text):
            yield name, "must be HOST:PORT: to listen on every address write 0.0.0.0:PORT or [::]:PORT"
    if len(set(addresses.values())) < len(addresses) and addresses["ws.listen"][1]:
        yield "ws.listen", "must differ from http.listen: each server needs a port of its own"
    for name, found in (
        ("http.allowed_hosts", hosts.hosts(config.http.allowed_hosts)),
        ("http.cors_origins", hosts.origins(config.http.cors_origins)),
        ("ws.origins", hosts.host_names(config.ws.origins)),
    ):
        yield from ((name, problem) for problem in found)
    if config.ws.max_clients < 1:
        yield "ws.max_clients", "must be at least 1"
    if config.ws.slow_client_timeout < MIN_SLOW_CLIENT_SECONDS:
        yield "ws.slow_client_timeout", "must be at least 100ms"


def _metrics(config: Config) -> Iterator[SettingProblem]:
    buckets = config.metrics.buckets
    if not buckets or buckets[0] <= 0 or any(low >= high for low, high in itertools.pairwise(buckets)):
        yield "metrics.buckets", "must be positive numbers of seconds in ascending order"
    if config.metrics.max_products < 1:
        yield "metrics.max_products", "must be at least 1"
    if config.metrics.max_products < len(config.products):
        yield "metrics.max_products", f"must be at least the number of products listed, {len(config.products)}"
    if config.metrics.new_series_hold > MAX_NEW_SERIES_HOLD_SECONDS:
        yield "metrics.new_series_hold", "must be at most 1h"


def _influx(influx: InfluxConfig) -> Iterator[SettingProblem]:
    parts = _url_parts(influx.url)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        yield "influx.url", "must be http://HOST:PORT or https://HOST:PORT, with at most a path after it"
    elif "@" in parts.netloc:
        yield "influx.url", "must not hold a user: set influx.username and influx.password, or influx.token"
    elif influx.ca_file and parts.scheme != "https":
        yield "influx.ca_file", "is only used with TLS: let influx.url start with https://"
    if bool(influx.database) == bool(influx.bucket):
        yield "influx.database", "is for InfluxDB 1.x, influx.bucket for 2.x: set exactly one of them"
    wrong = ("token", "org") if influx.database else ("username", "password")
    for name in wrong:
        if getattr(influx, name):
            version, other = ("2.x", "bucket") if influx.database else ("1.x", "database")
            yield f"influx.{name}", f"is only used with InfluxDB {version}, which needs influx.{other}"
    if ":" in influx.username:
        yield "influx.username", "must not contain a colon"
    if not (influx.token.isascii() and influx.token.isprintable()):
        yield "influx.token", "must be one line of printable ASCII text"
    low, high = INFLUX_INTERVAL_SECONDS
    if not low <= influx.interval <= high:
        yield "influx.interval", "must be from 1s to 1h"


def _url_parts(url: str) -> urllib.parse.SplitResult | None:
    """Split a URL; `None` if it is not valid."""
    try:
        parts = urllib.parse.urlsplit(url)
        return None if parts.port == 0 else parts  # reading the port checks it
    except ValueError:
        return None


def _timing(config: Config) -> Iterator[SettingProblem]:
    low, high = COMMIT_INTERVAL_SECONDS
    if not low <= config.commit_interval <= high:
        yield "commit_interval", "must be from 10ms to 60s"
    least = max(MIN_LEASE_SECONDS, LEASE_INTERVALS * config.commit_interval)
    if config.lease < least:
        yield "lease", f"must be at least {least:g}s: three times commit_interval, and no less than 200ms"


def _names(config: Config) -> Iterator[SettingProblem]:
    if not re.fullmatch("[A-Z]{3}", config.currency):
        yield "currency", "must be three capital letters (ISO 4217), such as EUR"
    for name in ("products", "refusals", "sources.pubsub", "sources.streams"):
        values = flatten(config)[name]
        if "" in values:
            yield name, "must not contain an empty name"
        if len(set(values)) < len(values):
            twice = next(value for value in values if values.count(value) > 1)
            yield name, f'names "{twice}" twice'
    for name in config.products:
        if len(name.encode()) > MAX_ID_BYTES:
            yield "products", f'has a name longer than {MAX_ID_BYTES} bytes, which starts with "{name[:20]}"'
