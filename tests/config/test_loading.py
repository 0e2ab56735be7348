"""The configuration: where settings come from, what is refused, and that the shipped file tells the truth."""

import itertools
import re
import socket
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from sidecar.config import Config, Seconds, Secret, SourcesConfig, diff, flatten, load
from sidecar.config.flat import schema, variable
from sidecar.errors import ConfigError

SHIPPED = Path(__file__).parents[2] / "config" / "sidecar.yml"


def from_file(folder: Path, text: str, **environ: str) -> Config:
    """Load a file with this text."""
    file = folder / "sidecar.yml"
    file.write_text(text, encoding="utf-8")
    return load(str(file), environ=environ).config


def refusal(folder: Path, text: str) -> str:
    """Return the error of a file with this text, with `FILE` for its path."""
    with pytest.raises(ConfigError) as caught:
        from_file(folder, text)
    message = str(caught.value)
    assert "\n" not in message
    return message.replace(str(folder / "sidecar.yml"), "FILE")


def test_without_any_source_everything_has_its_default() -> None:
    assert load(None, environ={}).config == Config(instance=socket.gethostname())


def test_a_flag_comes_before_a_variable_before_the_file_before_the_default(tmp_path: Path) -> None:
    file = tmp_path / "sidecar.yml"
    file.write_text("redis: {prefix: 'file:'}\nfleet: file\nenvironment: file\n")
    environ = {"SIDECAR_REDIS_PREFIX": "variable:", "SIDECAR_FLEET": "variable"}
    flags = {"redis.prefix": "flag:", "fleet": None}
    config = load(str(file), environ=environ, flags=flags).config
    assert (config.redis.prefix, config.fleet, config.environment, config.currency) == (
        "flag:",
        "variable",
        "file",
        "XXX",
    )


def test_the_file_can_be_named_by_a_variable_and_the_flag_comes_first(tmp_path: Path) -> None:
    for name in ("flag", "variable"):
        (tmp_path / name).write_text(f"fleet: {name}")
    environ = {"SIDECAR_CONFIG": str(tmp_path / "variable")}
    assert load(None, environ=environ).config.fleet == "variable"
    assert load(str(tmp_path / "flag"), environ=environ).config.fleet == "flag"


VALUES: list[tuple[str, str, Any]] = [
    ("redis.prefix", "shop:", "shop:"),
    ("redis.url", "redis://shop/2", "redis://shop/2"),
    ("http.listen", "[::1]:0", "[::1]:0"),
    ("http.admin_token", "0123", Secret("0123")),
    ("ws.max_clients", "5", 5),
    ("ws.slow_client_timeout", "1.5", 1.5),
    ("metrics.buckets", "0.1,1", (0.1, 1.0)),
    ("metrics.keep_rejected", "off", False),
    ("orders.repeats", "count", "count"),
    ("log.level", "debug", "debug"),
    ("commit_interval", "250ms", 0.25),
    ("lease", "2m", 120.0),
    ("lease", "1h", 3600.0),
    ("lease", "10", 10.0),
    ("instance", "0123", "0123"),
    ("products", "a, b", ("a", "b")),
    ("sources.pubsub", "", ()),
]


@pytest.mark.parametrize(("name", "text", "value"), VALUES)
def test_a_value_means_the_same_in_a_variable_a_flag_and_the_file(
    tmp_path: Path, name: str, text: str, value: Any
) -> None:
    environ = {variable(name): text}
    assert flatten(load(None, environ=environ).config)[name] == value
    assert flatten(load(None, environ={}, flags={name: text}).config)[name] == value
    quoted = f'"{text}"'
    section, _, last = name.rpartition(".")
    line = f"{section}:\n  {last}: {quoted}" if section else f"{last}: {quoted}"
    assert flatten(from_file(tmp_path, line))[name] == value


def test_names_in_the_file_are_taken_as_they_are_written(tmp_path: Path) -> None:
    """YAML 1.1 reads no as false, 0123 as 83 and 12:30 as 750; they are names of products here."""
    assert from_file(tmp_path, "products: [no, 0123, 12:30, 1_000, null]").products == (
        *("no", "0123", "12:30", "1_000", "null"),
    )


@pytest.mark.parametrize("text", ["", "# nothing", "redis:", "redis: {url: }", "fleet: ~"])
def test_what_is_left_blank_keeps_its_default(tmp_path: Path, text: str) -> None:
    assert from_file(tmp_path, text) == Config(instance=socket.gethostname())


REFUSED = {
    "fleet: a\ncommit_intervall: 1s": (
        'FILE:2: unknown setting "commit_intervall" under the top level; did you mean "commit_interval"?'
    ),
    "redis:\n  urll: x": 'FILE:2: unknown setting "urll" under "redis"; did you mean "url"?',
    "prefix: x": 'FILE:1: unknown setting "prefix" under the top level; did you mean "redis.prefix"?',
    "quux: x": 'FILE:1: unknown setting "quux" under the top level',
    "fleet: a\nfleet: b": "FILE:2: fleet is set twice, first at FILE:1",
    "redis: localhost": 'FILE:1: "redis" is a section: write `name: value` lines below it',
    "- a": "FILE:1: a configuration consists of settings: write `name: value` lines",
    "? [a]\n: b": "FILE:1: the name of a setting must be a plain word",
    "fleet: {a: b}": "FILE:1: fleet must be a value or a list of values",
    "fleet: [a]": "FILE:1: fleet must be a single value, not a list",
    "fleet: 'a": "FILE:1: not valid YAML: found unexpected end of stream",
    "fleet: a: b": "FILE:1: not valid YAML: mapping values are not allowed here",
    "--- a\n--- b": "FILE:2: not valid YAML",
    "products: [a, b\nfleet: c": "FILE:2: not valid YAML: expected ',' or ']', but got ':'",
    "products: [a": "FILE:1: not valid YAML: expected ',' or ']', but got the end of the file",
    "fleet: @a": "FILE:1: not valid YAML: found character '@' that cannot start any token",
    'fleet: "a" b': "FILE:1: not valid YAML: expected the end of the section, but found a value",
    "fleet: *s3cret": "FILE:1: not valid YAML: found undefined alias; a value with special characters needs quotes",
    'fleet: "\\UFFFFFFFF"': "FILE: is not valid YAML",
    'fleet: "\\ud800"': "FILE:1: fleet is not valid Unicode",
    'products: [a, "\\ud800"]': "FILE:1: products is not valid Unicode",
    "commit_interval: soon": "FILE:1: commit_interval must be a duration such as 500ms, 5s, 2m or 1h",
    "commit_interval: -1s": "FILE:1: commit_interval must be a duration",
    "commit_interval: 9ms": 'FILE:1: commit_interval must be from 10ms to 60s, not "9ms"',
    "commit_interval: 61s": "FILE:1: commit_interval must be from 10ms to 60s",
    "lease: 1.4s": "FILE:1: lease must be at least 1.5s: three times commit_interval, and no less than",
    "commit_interval: 10ms\nlease: 100ms": "FILE:2: lease must be at least 0.2s",
    "commit_interval: 2s": "lease must be at least 6s",
    "ws: {max_clients: 0}": 'FILE:1: ws.max_clients must be at least 1, not "0"',
    "ws: {max_clients: many}": "FILE:1: ws.max_clients must be a whole number",
    "ws: {slow_client_timeout: 0}": "FILE:1: ws.slow_client_timeout must be at least 100ms",
    "ws: {listen: 127.0.0.1:9850}": "FILE:1: ws.listen must differ from http.listen",
    "http: {listen: '9850'}": "FILE:1: http.listen must be HOST:PORT: the port",
    "http: {listen: 'a:70000'}": "FILE:1: http.listen must be HOST:PORT: the port must be a number from 0 to 65535",
    "http: {listen: '::1:9850'}": "FILE:1: http.listen must be HOST:PORT: an IPv6 address is written in brackets",
    "http: {listen: ':9850'}": "FILE:1: http.listen must be HOST:PORT: to listen on every address",
    "ws: {origins: ['https://shop.example']}": "FILE:1: ws.origins must be host names without scheme and port (all",
    "ws: {origins: ['shop.example:8443']}": "FILE:1: ws.origins must be host names without scheme and port (all",
    "ws: {origins: ['*']}": "FILE:1: ws.origins must be the host names of pages, as in shop.example, without",
    "ws: {origins: ['b\u00fccher.example']}": "FILE:1: ws.origins must be host names without scheme and port (all",
    "http: {allowed_hosts: ['*.shop.example']}": "FILE:1: http.allowed_hosts must be host names, as in shop.exampl",
    "http: {allowed_hosts: ['https://shop.example:8443/']}": "FILE:1: http.allowed_hosts must be a host name as browse",
    "http: {allowed_hosts: ['shop.example/']}": "FILE:1: http.allowed_hosts must be a host name as browsers send it: w",
    "http: {cors_origins: ['https://shop.example/']}": "FILE:1: http.cors_origins must be origins as browsers send th",
    "http: {cors_origins: ['https://shop.example:443']}": "FILE:1: http.cors_origins must be origins as browsers send",
    "http: {cors_origins: [shop.example]}": "FILE:1: http.cors_origins must be origins of pages, as in https://shop.e",
    "http: {cors_origins: ['*']}": "FILE:1: http.cors_origins must be origins of pages, as in https://shop.example",
    "metrics: {max_products: 0}": "FILE:1: metrics.max_products must be at least 1",
    "products: [a, b]\nmetrics: {max_products: 1}": "FILE:2: metrics.max_products must be at least the number of prod",
    "metrics: {buckets: []}": "FILE:1: metrics.buckets must be positive numbers",
    "metrics: {buckets: [0, 1]}": "FILE:1: metrics.buckets must be positive numbers",
    "metrics: {buckets: [1, 1]}": "FILE:1: metrics.buckets must be positive numbers of seconds in ascending order",
    "metrics: {buckets: [1, .nan]}": "FILE:1: metrics.buckets must be a list of numbers",
    "metrics: {keep_rejected: maybe}": "FILE:1: metrics.keep_rejected must be true or false",
    "metrics: {new_series_hold: 2h}": "FILE:1: metrics.new_series_hold must be at most 1h",
    "orders: {repeats: twice}": "FILE:1: orders.repeats must be one of ignore, count",
    "log: {level: loud}": "FILE:1: log.level must be one of debug, info, warning, error, critical",
    "log: {format: xml}": "FILE:1: log.format must be one of auto, console, json",
    "redis: {prefix: ''}": "FILE:1: redis.prefix must not be empty",
    "redis: {prefix: 'a b'}": "FILE:1: redis.prefix must not be empty and must not contain whitespace",
    "redis: {url: shop}": "FILE:1: redis.url must start with redis://",
    "redis: {ca_file: ca.pem}": "FILE:1: redis.ca_file is only used with TLS",
    "influx: {url: 'influx:8086', database: a}": "FILE:1: influx.url must be http://HOST:PORT or https://HOST:PORT",
    "influx: {url: 'http://', database: a}": "FILE:1: influx.url must be http://HOST:PORT",
    "influx: {url: 'http://a:x', database: a}": "FILE:1: influx.url must be http://HOST:PORT",
    "influx: {url: 'http://a?db=b', database: a}": "FILE:1: influx.url must be http://HOST:PORT or https://",
    "influx: {url: 'http://ann:hunter2@a', database: a}": "FILE:1: influx.url must not hold a user: set influx.",
    "influx: {url: 'http://a', database: a, ca_file: b}": "FILE:1: influx.ca_file is only used with TLS",
    "influx: {url: 'http://a'}": "influx.database is for InfluxDB 1.x, influx.bucket for 2.x: set exactly one",
    "influx: {url: 'http://a', database: a, bucket: b}": "FILE:1: influx.database is for InfluxDB 1.x",
    "influx: {url: 'http://a', database: a, token: b}": "FILE:1: influx.token is only used with InfluxDB 2.x",
    "influx: {url: 'http://a', bucket: a, username: b}": "FILE:1: influx.username is only used with InfluxDB 1.x",
    "influx: {url: 'http://a', database: a, username: 'a:b'}": "FILE:1: influx.username must not contain a colon",
    'influx: {url: http://a, bucket: a, token: "a\\nb"}': "FILE:1: influx.token must be one line of printable",
    "influx: {url: 'http://a', database: a, interval: 0.5s}": "FILE:1: influx.interval must be from 1s to 1h",
    "currency: euro": "FILE:1: currency must be three capital letters",
    "products: [a, b, a]": 'FILE:1: products names "a" twice',
    "products: ['']": "FILE:1: products must not contain an empty name",
    f"products: [{'ä' * 65}]": "FILE:1: products has a name longer than 128 bytes",
    "sources: {streams: [\"'orders'\"]}": "FILE:1: sources.streams has quotes around it, which become part of",
    "sources: {streams: [a, a]}": 'FILE:1: sources.streams names "a" twice',
    "sources: {streams: ['sale:*']}": "FILE:1: sources.streams cannot hold patterns",
    'sources: {streams: ["a\\nb"]}': "FILE:1: sources.streams must not contain a line break, as 'a\\nb' does",
    'sources: {streams: ["\\xac\\xed\\x00\\x05s"]}': r"FILE:1: sources.streams must have bytes in single quotes",
    "sources: {pubsub: ['shop:*', shop:eu]}": 'FILE:1: sources.pubsub "shop:*" and "shop:eu" both match the channel "',
    "sources: {pubsub: ['shop:*', '*:eu']}": 'FILE:1: sources.pubsub "shop:*" and "*:eu" both match the channel "sho',
    "sources: {pubsub: ['shop:[ab]', 'shop:?']}": 'FILE:1: sources.pubsub "shop:[ab]" and "shop:?" both match the chan',
    "sources: {pubsub: ['shop:[]']}": 'FILE:1: sources.pubsub has "shop:[]", which matches no channel',
    "sources: {streams: [], pubsub: []}": "FILE:1: sources.streams and sources.pubsub are both empty",
}


@pytest.mark.parametrize("text", REFUSED)
def test_a_wrong_file_is_refused_in_one_line_with_place_and_mend(tmp_path: Path, text: str) -> None:
    assert refusal(tmp_path, text).startswith(REFUSED[text])


def test_an_output_that_is_off_asks_nothing_of_its_other_settings(tmp_path: Path) -> None:
    """So that one setting turns it on and off, whatever else the environment carries."""
    assert from_file(tmp_path, "influx: {bucket: a, token: b, username: c}").influx.url == ""
    assert from_file(tmp_path, "influx: {url: 'http://[::1]:8086/influx', database: a}").influx.database == "a"


def test_a_wrong_variable_or_flag_is_named() -> None:
    with pytest.raises(ConfigError, match="^SIDECAR_LEASE: lease must be a duration"):
        load(None, environ={"SIDECAR_LEASE": "long"})
    with pytest.raises(ConfigError, match="^command line: http.listen must be HOST:PORT"):
        load(None, environ={}, flags={"http.listen": "x"})


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^cannot read the configuration .*/none.yml: No such file"):
        load(str(tmp_path / "none.yml"), environ={})
    (tmp_path / "latin").write_bytes(b"fleet: \xe4")
    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        load(str(tmp_path / "latin"), environ={})


CLUSTER = "redis: {url: 'redis+cluster://a', prefix: '%s'}\nsources: {streams: ['%s']}"


def test_on_a_cluster_stream_and_prefix_carry_the_same_hash_tag(tmp_path: Path) -> None:
    assert from_file(tmp_path, CLUSTER % ("{sale}:m:", "{sale}:events")).redis.prefix == "{sale}:m:"


def test_streams_on_another_redis_need_no_tag(tmp_path: Path) -> None:
    """They do not live and fail over together with what counts them, and that is what was asked for."""
    file = tmp_path / "c.yml"
    file.write_text(
        "redis: {url: 'redis+cluster://a', prefix: '{x}:'}\nsources: {streams: [s], redis_url: 'redis://b'}"
    )
    config = load(str(file), environ={}).config
    assert config.apart
    assert config.events.url == "redis://b"


@pytest.mark.parametrize(("fleet", "problem"), [("{x}", ""), ("shops", "hash tag"), ("{y}", "hash tag")])
def test_a_fleet_on_a_cluster_shares_the_tag(fleet: str, problem: str, tmp_path: Path) -> None:
    file = tmp_path / "c.yml"
    file.write_text(CLUSTER % ("{x}:", "{x}:s") + f"\nfleet: '{fleet}'")
    if problem:
        with pytest.raises(ConfigError, match=problem):
            load(str(file), environ={})
    else:
        load(str(file), environ={})


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ("{redis_url: 'http://b'}", "sources.redis_url must start with"),
        ("{redis_url: 'redis://b', redis_ca_file: ca.pem}", "let sources.redis_url start with rediss://"),
        ("{redis_password: secret}", "only used with sources.redis_url"),
    ],
)
def test_the_redis_of_the_events_is_checked_like_the_other(settings: str, problem: str, tmp_path: Path) -> None:
    file = tmp_path / "c.yml"
    file.write_text(f"sources: {settings}")
    with pytest.raises(ConfigError, match=problem) as refused:
        load(str(file), environ={})
    assert "secret" not in str(refused.value)


def test_the_events_come_through_the_redis_of_the_metrics_unless_another_is_named(tmp_path: Path) -> None:
    config = Config()
    assert (config.apart, config.events) == (False, config.redis)
    file = tmp_path / "password"
    file.write_text("word\n")
    environ = {"SIDECAR_SOURCES_REDIS_URL": "redis://b", "SIDECAR_SOURCES_REDIS_PASSWORD_FILE": str(file)}
    events = load(None, environ=environ).config.events
    assert (events.url, events.password) == ("redis://b", "word")


@pytest.mark.parametrize(
    ("prefix", "stream", "name"),
    [
        ("m:", "{sale}:events", "redis.prefix"),
        ("{}m:", "{}events", "redis.prefix"),
        ("{sale}:m:", "events", "sources.streams"),
        ("{sale}:m:", "{other}:events", "sources.streams"),
    ],
)
def test_on_a_cluster_other_names_are_refused_with_an_example(
    tmp_path: Path, prefix: str, stream: str, name: str
) -> None:
    message = refusal(tmp_path, CLUSTER % (prefix, stream))
    assert name in message.partition(" ")[2]
    assert re.search(r'redis.prefix "\{\w+\}:metrics:" and sources.streams "\{\w+\}:events"', message)


def test_a_secret_is_read_from_its_file_without_the_line_end(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret \n")
    config = load(None, environ={"SIDECAR_HTTP_ADMIN_TOKEN_FILE": str(tmp_path / "token")}).config
    assert config.http.admin_token == "s3cret "


def test_a_secret_file_whose_name_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot read a\0b: this is not a file name"):
        load(None, environ={"SIDECAR_HTTP_READ_TOKEN_FILE": "a\0b"})


@pytest.mark.parametrize(
    ("content", "extra", "problem"),
    [
        ("", {}, "is empty"),
        (None, {}, "cannot read .*: No such file"),
        (b"\xff", {}, "cannot read .*: it is not UTF-8 text"),
        ("x", {"SIDECAR_HTTP_READ_TOKEN": "s3cret"}, "http.read_token and http.read_token_file are both set"),
    ],
)
def test_a_secret_file_that_is_no_use_is_refused(
    tmp_path: Path, content: str | bytes | None, extra: dict[str, str], problem: str
) -> None:
    if content is not None:
        (tmp_path / "token").write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(ConfigError, match=problem) as caught:
        load(None, environ={"SIDECAR_HTTP_READ_TOKEN_FILE": str(tmp_path / "token"), **extra})
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "redis: {url: 'redis://ann:hunter2@shop:port'}",
        "redis: {password: *hunter2}",
        "redis: {password: !hunter2}",
        'redis: {password: "\\qhunter2"}',
        "redis: {password: [hunter2]}",
        "redis: {password: {hunter2: x}}",
        "redis: {password: 'hunter2}",
        "redis: {password: %hunter2}",
        "redis: {password: hunter2, password_file: x}",
        "influx: {url: 'http://ann:hunter2@influx:8086'}",
        "influx: {url: 'http://influx', bucket: a, token: hunter2ä}",
        "influx: {url: 'http://influx', bucket: a, password: hunter2}",
    ],
)
def test_no_refusal_quotes_a_secret(tmp_path: Path, text: str) -> None:
    assert "hunter2" not in refusal(tmp_path, text)


def test_an_unknown_variable_is_a_warning_with_the_nearest_name() -> None:
    environ = {"SIDECAR_HTTP_LISTN": "x", "SIDECAR_PORT_80_TCP": "tcp://10.0.0.1:80", "SIDECAR_CONFIG": "", "HOME": "/"}
    assert load(None, environ=environ).warnings == (
        'unknown environment variable SIDECAR_HTTP_LISTN; did you mean "SIDECAR_HTTP_LISTEN"?',
        "unknown environment variable SIDECAR_PORT_80_TCP",
    )


def test_the_difference_of_two_configurations_is_the_names_that_changed() -> None:
    new = Config(instance="a", lease=Seconds(9), sources=SourcesConfig(streams=()))
    assert diff(Config(instance="a"), new) == ["sources.streams", "lease"]


def test_a_flattened_configuration_shows_no_secret() -> None:
    config = load(None, environ={"SIDECAR_REDIS_PASSWORD": "hunter2", "SIDECAR_HTTP_ADMIN_TOKEN": "hunter2"}).config
    assert "hunter2" not in repr(flatten(config))
    assert "hunter2" not in repr(config)


def test_every_setting_has_a_variable_of_its_own() -> None:
    assert len({variable(name) for name in schema()} | {"SIDECAR_CONFIG"}) == len(schema()) + 1


def test_the_shipped_file_sets_everything_to_its_default() -> None:
    assert load(str(SHIPPED), environ={}).config == Config(instance=socket.gethostname())


def test_the_shipped_file_has_every_setting_in_the_order_of_the_structs() -> None:
    def names(values: dict[str, Any], prefix: str = "") -> list[str]:
        return [
            found
            for name, value in values.items()
            for found in (names(value, f"{prefix}{name}.") if isinstance(value, dict) else [prefix + name])
        ]

    assert names(yaml.safe_load(SHIPPED.read_text())) == list(schema())


def test_every_setting_in_the_shipped_file_has_a_comment() -> None:
    """A `*_file` setting may share the one of its secret, right above it."""
    lines = SHIPPED.read_text().splitlines()
    for above, line in itertools.pairwise(lines):
        name = line.strip().partition(":")[0]
        is_section = any(
            field.name == name and field.default_factory is msgspec.NODEFAULT and not line.partition(":")[2]
            for field in msgspec.structs.fields(Config)
        )
        if line.strip() and not line.lstrip().startswith("#") and not is_section:
            assert above.lstrip().startswith("#") or name.endswith("_file"), line


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("SIDECAR_SOURCES_STREAMS", "'orders'"),
        ("SIDECAR_SOURCES_PUBSUB", 'orders, "shop:*"'),
        ("SIDECAR_INSTANCE", '"shop-1"'),
    ],
)
def test_quotes_that_would_be_part_of_a_value_are_refused(variable: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"^{variable}: .* has quotes around it, which become part of the value"):
        load(None, environ={variable: value})


def test_a_list_in_a_variable_has_commas_and_no_brackets() -> None:
    with pytest.raises(ConfigError, match="must be names separated by commas, as in a,b"):
        load(None, environ={"SIDECAR_SOURCES_STREAMS": '["orders", "refunds"]'})


def test_a_password_may_have_quotes_around_it() -> None:
    assert load(None, environ={"SIDECAR_REDIS_PASSWORD": "'a'"}).config.redis.password == "'a'"


def test_hosts_and_origins_are_taken_as_browsers_send_them() -> None:
    environ = {
        "SIDECAR_WS_ORIGINS": "Shop.example,[::1],10.0.0.7,xn--bcher-kva.example",
        "SIDECAR_HTTP_ALLOWED_HOSTS": "shop.example,shop.example:8443,[2001:db8::1]:9850",
        "SIDECAR_HTTP_CORS_ORIGINS": "https://shop.example,http://localhost:3000,http://[::1]:8080,null",
    }
    assert load(None, environ=environ).config.ws.origins[0] == "Shop.example"
