"""Secrets that every user of the machine can read, and a Redis that lets in strangers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from sidecar.cli.checks import exposure
from sidecar.cli.checks.exposure import configuration_file, open_to_all, secret_files
from sidecar.config.structs import Config, HttpConfig, RedisConfig, Secret
from sidecar.errors import AccessError, UnavailableError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "file"
    made.write_text("redis: {password: hidden}\n")
    return made


@pytest.mark.parametrize(("mode", "told"), [(0o644, True), (0o640, False)])
def test_a_file_with_a_secret_is_told_if_everybody_can_read_it(file: Path, mode: int, told: bool) -> None:
    file.chmod(mode)
    config = Config(redis=RedisConfig(password_file=str(file)), http=HttpConfig(read_token_file=str(file)))
    findings = list(secret_files(config))
    assert [one.text.split(":")[0] for one in findings] == ["redis.password_file", "http.read_token_file"] * told
    assert all("chmod o-rwx" in one.fix for one in findings)


def test_a_key_is_a_secret_and_a_certificate_is_none(file: Path) -> None:
    file.chmod(0o644)
    config = Config(redis=RedisConfig(key_file=str(file), cert_file=str(file), ca_file=str(file)))
    assert [one.text.split(":")[0] for one in secret_files(config)] == ["redis.key_file"]


def test_a_file_that_is_not_there_is_no_finding(tmp_path: Path) -> None:
    assert list(secret_files(Config(redis=RedisConfig(password_file=str(tmp_path / "none"))))) == []


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("redis: {password: hidden}\nhttp: {read_token: hidden}\n", "redis.password, http.read_token"),
        ("redis: {password: ''}\n", ""),
        ("redis: {url: redis://here}\n", ""),
    ],
)
def test_a_configuration_that_everybody_reads_names_its_secrets(file: Path, text: str, named: str) -> None:
    file.write_text(text)
    file.chmod(0o644)
    findings = list(configuration_file(str(file)))
    assert [one.text.rpartition("holds ")[2] for one in findings] == [named] * bool(named)
    file.chmod(0o600)
    assert list(configuration_file(str(file))) == []
    assert list(configuration_file("")) == []


class Door:
    """A Redis that lets in strangers, or not."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, refusal: Exception | None = None) -> None:
        self.refusal = refusal
        self.knocks = 0
        monkeypatch.setattr(exposure, "connected", self.connected)

    @asynccontextmanager
    async def connected(self, config: RedisConfig, *, key: str, anonymous: bool) -> AsyncIterator["Door"]:
        assert anonymous
        self.knocks += 1
        yield self

    async def call(self, *command: Any) -> int:
        if self.refusal is not None:
            raise self.refusal
        return 0


@pytest.mark.parametrize(
    ("config", "asked"),
    [
        (RedisConfig(), False),
        (RedisConfig(url="redis://localhost"), False),
        (RedisConfig(url="redis://[::1]"), False),
        (RedisConfig(password=Secret("pw")), True),
        (RedisConfig(url="redis://192.0.2.1"), True),
        (RedisConfig(url="redis://redis"), True),
    ],
    ids=["default", "by name", "IPv6", "with a password", "another machine", "another name"],
)
async def test_an_open_redis_is_told_unless_only_this_machine_reaches_it(
    config: RedisConfig, asked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    door = Door(monkeypatch)
    findings = await open_to_all(config, "key")
    assert (door.knocks, len(findings)) == (int(asked), int(asked))
    assert not asked or "without a password" in findings[0].text


@pytest.mark.parametrize("refusal", [AccessError("no"), UnavailableError("no")])
async def test_a_redis_that_keeps_strangers_out_is_no_finding(
    refusal: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    Door(monkeypatch, refusal)
    assert await open_to_all(RedisConfig(url="redis://192.0.2.1"), "key") == []
