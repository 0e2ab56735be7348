"""The configuration: one tree of frozen structs, complete and checked before anything starts.

`load` merges flags, environment, file and defaults, in this order of precedence. A wrong setting raises a `ConfigError`
that says where it is and how to fix it.
"""

from sidecar.config.flat import diff, flatten, unflatten
from sidecar.config.loading import Loaded, load
from sidecar.config.structs import (
    LOG_LEVELS,
    Config,
    HttpConfig,
    InfluxConfig,
    LogConfig,
    MetricsConfig,
    RecorderConfig,
    RedisConfig,
    Seconds,
    Secret,
    SourcesConfig,
    WsConfig,
)
from sidecar.config.web_file import TlsConfig, WebConfig, read_web_file

__all__ = [
    "LOG_LEVELS",
    "Config",
    "HttpConfig",
    "InfluxConfig",
    "Loaded",
    "LogConfig",
    "MetricsConfig",
    "RecorderConfig",
    "RedisConfig",
    "Seconds",
    "Secret",
    "SourcesConfig",
    "TlsConfig",
    "WebConfig",
    "WsConfig",
    "diff",
    "flatten",
    "load",
    "read_web_file",
    "unflatten",
]
