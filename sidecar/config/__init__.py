"""The configuration: one tree of frozen structs, complete and checked before anything starts.

`load` merges flags, environment, file and defaults, in this order of precedence. A wrong setting is a `ConfigError`
that says where it stands and how to mend it.
"""

from sidecar.config.flat import diff, flatten, unflatten
from sidecar.config.loading import Loaded, load
from sidecar.config.structs import (
    LOG_LEVELS,
    Config,
    HttpConfig,
    LogConfig,
    MetricsConfig,
    RedisConfig,
    Seconds,
    Secret,
    SourcesConfig,
    WsConfig,
)

__all__ = [
    "LOG_LEVELS",
    "Config",
    "HttpConfig",
    "Loaded",
    "LogConfig",
    "MetricsConfig",
    "RedisConfig",
    "Seconds",
    "Secret",
    "SourcesConfig",
    "WsConfig",
    "diff",
    "flatten",
    "load",
    "unflatten",
]
