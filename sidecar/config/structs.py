"""The settings: one tree of frozen structs with the defaults. config/sidecar.yml explains each."""

import socket
from typing import ClassVar, Literal

from msgspec import Struct, field
from msgspec.structs import asdict, replace

from sidecar.core.counts.custom_definition import CustomMetric
from sidecar.core.mapping.definition import Definition
from sidecar.redis.url import RedisTarget, parse

LOG_LEVELS = ("debug", "info", "warning", "error", "critical")
REPEATS = ("ignore", "count")
LOG_FORMATS = ("auto", "console", "json")
SystemName = Literal[
    "arq",
    "asynq",
    "bull",
    "bullmq",
    "celery",
    "dramatiq",
    "huey",
    "laravel",
    "list",
    "rq",
    "sidekiq",
    "sorted_set",
    "stream_group",
    "taskiq",
    "taskiq_stream",
]


class Seconds(float):
    """A duration. In files and variables: a number of seconds, or `500ms`, `5s`, `2m`, `1h`."""


class Secret(str):
    """A string that is never shown: its repr is `***`."""

    def __repr__(self) -> str:
        return "'***'" if self else "''"


class RedisConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which Redis, and under which prefix."""

    url: str = "redis://127.0.0.1:6379/0"
    prefix: str = "flash_sale_metrics:"
    username: str = ""
    password: Secret = Secret("")
    password_file: str = ""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    sentinel_username: str = ""
    sentinel_password: Secret = Secret("")
    sentinel_password_file: str = ""

    settings: ClassVar[str] = "redis."  # the prefix of the names of these settings

    @property
    def target(self) -> RedisTarget:
        """The address of that Redis, with credentials and TLS files. Raises `ConfigError`."""
        found = parse(self.url, username=self.username, password=self.password, password_file=self.password_file)
        return replace(
            found,
            ca_file=self.ca_file,
            cert_file=self.cert_file,
            key_file=self.key_file,
            sentinel_username=self.sentinel_username,
            sentinel_password=self.sentinel_password,
            sentinel_password_file=self.sentinel_password_file,
            settings=self.settings,
        )


class EventsRedisConfig(RedisConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The Redis of the events if it is a different one: the settings `sources.redis_*`."""

    settings: ClassVar[str] = "sources.redis_"


class SourcesConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the events come from. A name with `*`, `?` or `[` in `pubsub` is a pattern. Without `redis_url`, events
    come through the Redis of the metrics."""

    pubsub: tuple[str, ...] = ("flash_sale:events",)
    streams: tuple[str, ...] = ("flash_sale:events",)
    redis_url: str = ""
    redis_username: str = ""
    redis_password: Secret = Secret("")
    redis_password_file: str = ""
    redis_ca_file: str = ""
    redis_cert_file: str = ""
    redis_key_file: str = ""
    redis_sentinel_username: str = ""
    redis_sentinel_password: Secret = Secret("")
    redis_sentinel_password_file: str = ""


class HttpConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The HTTP server."""

    listen: str = "127.0.0.1:9850"
    admin_token: Secret = Secret("")
    admin_token_file: str = ""
    read_token: Secret = Secret("")
    read_token_file: str = ""
    allowed_hosts: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    web_config_file: str = ""


class WsConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The WebSocket server."""

    listen: str = "127.0.0.1:9851"
    origins: tuple[str, ...] = ()
    max_clients: int = 10_000
    slow_client_timeout: Seconds = Seconds(5)


class MetricsConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is counted, and how finely."""

    buckets: tuple[float, ...] = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
    max_products: int = 1000
    new_series_hold: Seconds = Seconds(12)
    keep_rejected: bool = True


class OrdersConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How orders are counted. `repeats`: ignore or count an order that reports the same state again."""

    repeats: str = "ignore"


class InfluxConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The InfluxDB to write to, none without `url`: 1.x has a `database`, 2.x a `bucket`."""

    url: str = ""
    database: str = ""
    username: str = ""
    password: Secret = Secret("")
    password_file: str = ""
    bucket: str = ""
    org: str = ""
    token: Secret = Secret("")
    token_file: str = ""
    ca_file: str = ""
    interval: Seconds = Seconds(10)


class QueueRedisConfig(RedisConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The Redis of a queue if it is a different one: the settings `redis_*` of the queue."""

    settings: ClassVar[str] = "queues.redis_"


class QueueConfig(Struct, frozen=True, kw_only=True):
    """A queue to read: its `name` here, its system, and its name there (`*`: all). config/queues.py says which system
    has which settings."""

    system: SystemName
    name: str = ""
    queue: str = ""
    prefix: str = ""
    group: str = ""
    exchange: str = ""
    priority_steps: tuple[int, ...] = (0, 3, 6, 9)
    separator: str = "\x06\x16"
    max_jobs: int = 10
    only_queue: bool = False
    job_per_order: bool = False
    redis_url: str = ""
    redis_username: str = ""
    redis_password: Secret = Secret("")
    redis_password_file: str = ""
    redis_ca_file: str = ""
    redis_cert_file: str = ""
    redis_key_file: str = ""
    redis_sentinel_username: str = ""
    redis_sentinel_password: Secret = Secret("")
    redis_sentinel_password_file: str = ""

    def redis(self, ours: RedisConfig) -> RedisConfig:
        """The Redis of the queue, which is `ours` by default."""
        return _another_redis(QueueRedisConfig, self) if self.redis_url else ours


class RecorderConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The flight recorder: none without `directory`."""

    directory: str = ""
    max_bytes: int = 2 << 30


class LogConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`format`: `auto` is `console` on a terminal and `json` otherwise."""

    level: str = "info"
    format: str = "auto"


class Config(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that can be set."""

    redis: RedisConfig = RedisConfig()
    sources: SourcesConfig = SourcesConfig()
    http: HttpConfig = HttpConfig()
    ws: WsConfig = WsConfig()
    metrics: MetricsConfig = MetricsConfig()
    orders: OrdersConfig = OrdersConfig()
    influx: InfluxConfig = InfluxConfig()
    recorder: RecorderConfig = RecorderConfig()
    log: LogConfig = LogConfig()
    commit_interval: Seconds = Seconds(0.5)
    lease: Seconds = Seconds(5)
    instance: str = field(default_factory=socket.gethostname)
    environment: str = ""
    fleet: str = ""
    products: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ("sold_out", "limit_reached", "duplicate", "payment_declined")
    currency: str = "XXX"
    mappings: tuple[Definition, ...] = ()
    custom_metrics: tuple[CustomMetric, ...] = ()
    queues: tuple[QueueConfig, ...] = ()

    @property
    def apart(self) -> bool:
        """Whether the Redis of the events is not the Redis of the metrics."""
        return self.sources.redis_url not in ("", self.redis.url)

    @property
    def events(self) -> RedisConfig:
        """The Redis of the events."""
        return _another_redis(EventsRedisConfig, self.sources) if self.sources.redis_url else self.redis


def _another_redis(kind: type[RedisConfig], section: Struct) -> RedisConfig:
    """Return the Redis that the settings `redis_*` of a section describe."""
    settings = asdict(section).items()
    return kind(**{name.removeprefix("redis_"): value for name, value in settings if name.startswith("redis_")})
