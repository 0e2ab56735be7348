"""The settings, read from the environment: `redis_url` is SALE_REDIS_URL, and so on."""

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """Every setting with its default. Shares are from 0 to 1."""

    database_url: str = "postgresql://127.0.0.1:5432/flash_sale"  # asyncpg also reads PGUSER, PGPASSWORD, ...
    redis_url: str = "redis://127.0.0.1:6379/0"
    host: str = "127.0.0.1"
    port: int = 8000
    transport: str = "stream"  # or pubsub
    events: str = "flash_sale:events"  # the stream or channel that the sidecar reads
    workers: int = 8
    payment_seconds: float = 0.05
    payment_patience_seconds: float = 1.0
    payment_declined: float = 0.03
    payment_silent: float = 0.01
    drain_seconds: float = 20.0  # a container's grace period must be longer

    def __post_init__(self) -> None:
        if self.transport not in ("stream", "pubsub"):
            raise SystemExit(f"SALE_TRANSPORT is stream or pubsub, not {self.transport}")

    @classmethod
    def from_environment(cls) -> "Settings":
        """Read the environment; unset variables keep their defaults."""
        given = {name: os.environ.get(f"SALE_{name.upper()}") for name in cls.__annotations__}
        return cls(**{name: type(getattr(cls, name))(text) for name, text in given.items() if text is not None})
