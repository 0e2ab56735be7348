"""The flags that commands share become one `Where`, and what cannot be meant is refused."""

from typing import Any

import click
import pytest
from click.testing import CliRunner

from sidecar.cli.options import Where, forbid_empty, load, reader_options, redis_options
from sidecar.errors import ConfigError

given: list[Where] = []


@click.command()
@reader_options
def reading(where: Where) -> None:
    given.append(where)


@click.command()
@redis_options
def keeping(where: Where) -> None:
    given.append(where)


def where(command: Any, *arguments: str, **environment: str) -> Where:
    """Return what a command gets."""
    given.clear()
    result = CliRunner().invoke(command, arguments, env=environment, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return given[0]


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CONFIG", "REDIS_URL", "REDIS_PREFIX", "HTTP_ADMIN_TOKEN", "HTTP_READ_TOKEN"):
        monkeypatch.delenv(f"SIDECAR_{name}", raising=False)


def test_without_a_flag_nothing_is_named() -> None:
    found = where(reading)
    assert found == Where()
    assert (found.names_redis, found.configured, found.file) == (False, False, "")


@pytest.mark.parametrize("flag", ["--config", "--redis-url", "--prefix"])
def test_a_flag_of_redis_names_it(flag: str) -> None:
    assert where(keeping, flag, "x").names_redis
    assert where(reading, flag, "x").configured


@pytest.mark.parametrize("name", ["SIDECAR_CONFIG", "SIDECAR_REDIS_URL", "SIDECAR_REDIS_PREFIX"])
def test_a_variable_configures_without_naming(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "x")
    assert (Where().configured, Where().names_redis) == (True, False)


def test_the_file_of_the_flag_is_read_before_that_of_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIDECAR_CONFIG", "theirs.yml")
    assert Where().file == "theirs.yml"
    assert Where(config_file="ours.yml").file == "ours.yml"


@pytest.mark.parametrize(
    ("variables", "token"),
    [({"READ": "r"}, "r"), ({"ADMIN": "a"}, "a"), ({"READ": "r", "ADMIN": "a"}, "a")],
)
def test_a_token_comes_from_its_variable(variables: dict[str, str], token: str) -> None:
    environment = {f"SIDECAR_HTTP_{name}_TOKEN": value for name, value in variables.items()}
    assert where(reading, **environment).token == token
    assert where(reading, "--token", "mine", **environment).token == "mine"


@pytest.mark.parametrize("flag", ["--redis-url", "--config", "--prefix"])
def test_a_daemon_and_redis_cannot_both_be_asked(flag: str) -> None:
    with pytest.raises(ConfigError, match="give one of them"):
        where(reading, "--url", "http://here", flag, "x")


def test_an_empty_value_is_refused_by_the_name_of_its_flag() -> None:
    for name, flag in (("config_file", "--config"), ("redis_url", "--redis-url")):
        with pytest.raises(ConfigError, match=f"{flag} is empty"):
            forbid_empty({name: ""})
    forbid_empty({"token": "", "url": None})


def test_flags_outweigh_the_environment_and_warnings_are_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SIDECAR_REDIS_PREFIX", "theirs:")
    monkeypatch.setenv("SIDECAR_LEESE", "5s")
    assert Where(prefix="ours:").config().redis.prefix == "ours:"
    assert load(None, {}).redis.prefix == "theirs:"
    assert "SIDECAR_LEESE" in capsys.readouterr().err
