"""What derives from settings: which Redis, and whether events come through another one."""

import pytest
from msgspec.structs import replace

from sidecar.config.structs import Config, RedisConfig, Secret, SourcesConfig
from sidecar.errors import ConfigError

HERE = RedisConfig(url="redis://here:1/2", username="ann", password=Secret("pw"), ca_file="ca.pem")


def test_the_target_has_everything_that_is_set_beside_the_url() -> None:
    target = replace(HERE, sentinel_username="sue", sentinel_password=Secret("s")).target
    assert (target.addresses, target.db) == ((("here", 1),), 2)
    assert (target.username, target.password, target.ca_file) == ("ann", "pw", "ca.pem")
    assert (target.sentinel_username, target.sentinel_password) == ("sue", "s")


def test_a_url_that_cannot_be_is_an_error() -> None:
    with pytest.raises(ConfigError):
        _ = RedisConfig(url="http://here").target


def test_events_come_through_the_redis_of_the_metrics_by_default() -> None:
    config = Config(redis=HERE)
    assert config.events is config.redis
    assert not config.apart


@pytest.mark.parametrize(("url", "apart"), [("redis://there", True), (HERE.url, False)])
def test_another_redis_for_events_has_settings_of_its_own(url: str, apart: bool) -> None:
    config = Config(redis=HERE, sources=SourcesConfig(redis_url=url, redis_username="bob", redis_ca_file="their.pem"))
    assert config.apart == apart
    assert (config.events.url, config.events.username, config.events.ca_file) == (url, "bob", "their.pem")
    assert config.events.password == ""
    assert config.events.target.settings == "sources.redis_"
    assert config.redis.target.settings == "redis."


def test_a_secret_shows_nowhere() -> None:
    assert "pw" not in repr(Config(redis=HERE)).replace("'ann'", "")
    assert "***" in repr(HERE)


def test_a_setting_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        HERE.url = "redis://there"  # type: ignore[misc]
