"""How errors become exit statuses, and what every command has in common."""

import subprocess
import sys
from pathlib import Path

import click
import pytest

from sidecar import __version__
from sidecar.cli import main
from sidecar.errors import AccessError, ConfigError
from tests.cli.commands import ENVIRONMENT, execute, invoke, on_terminal

READERS = ("report", "top", "export")
NOBODY = "redis://127.0.0.1:1/0"


@pytest.mark.parametrize("command", ["", *main.commands])
def test_every_command_explains_itself(command: str) -> None:
    result = invoke(*command.split(), "--help")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("Usage: ")


def test_the_contract_s_commands_are_there() -> None:
    expected = "check clear demo export gate map publish record rejected replay report run sale schema simulate tap top"
    assert sorted(main.commands) == expected.split()


def test_the_version_is_shown() -> None:
    result = execute("--version")
    assert result.returncode == 0
    assert __version__ in result.stdout


def test_help_imports_nothing_that_is_slow() -> None:
    heavy = "aiohttp redis rich websockets yaml prometheus_client structlog"
    program = f"""
import sys
import sidecar.cli
print([name for name in {heavy.split()!r} if name in sys.modules])
"""
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=ENVIRONMENT, check=True
    )
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (ConfigError("lease is wrong"), 2, "Error: lease is wrong\n"),
        (AccessError("no\nright"), 1, "Error: no right\n"),
        (FileNotFoundError(2, "No such file", "x"), 1, "Error: [Errno 2] No such file: 'x'\n"),
    ],
)
def test_an_error_is_one_line_and_a_status(
    error: Exception, status: int, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    @click.command()
    def broken() -> None:
        raise error

    monkeypatch.setitem(main.commands, "broken", broken)
    result = invoke("broken")
    assert (result.exit_code, result.stdout, result.stderr) == (status, "", text)


def test_a_fault_of_our_own_is_one_line_too(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    def broken() -> None:
        raise KeyError("oops")

    monkeypatch.setitem(main.commands, "broken", broken)
    result = invoke("broken")
    assert result.exit_code == 1
    assert "KeyError" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("arguments", [("nonsense",), ("report", "--nonsense"), ("simulate", "--rate", "-1")])
def test_wrong_usage_is_status_2(arguments: tuple[str, ...]) -> None:
    assert invoke(*arguments).exit_code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        *((reader, "--redis-url", NOBODY) for reader in READERS),
        *((reader, "--url", "http://127.0.0.1:1") for reader in READERS),
        ("rejected", "--redis-url", NOBODY),
        ("clear", "--yes", "--redis-url", NOBODY),
        ("clear", "--yes", "--url", "http://127.0.0.1:1"),
        ("publish", '{"status":"ok"}', "--redis-url", NOBODY),
        ("simulate", "--redis-url", NOBODY),
    ],
)
def test_nothing_at_the_address_is_status_1_and_one_line_with_the_mend(arguments: tuple[str, ...]) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 1
    assert "start it" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("command", ["report", "top", "export", "rejected", "check", "run", "clear", "simulate"])
def test_a_wrong_configuration_is_status_2(command: str, tmp_path: Path) -> None:
    file = tmp_path / "sidecar.yml"
    file.write_text("leese: 3\n")
    result = invoke(command, "--config", str(file))
    assert result.exit_code == 2
    assert "leese" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_daemon_and_redis_cannot_both_be_asked() -> None:
    result = invoke("report", "--url", "http://127.0.0.1:1", "--redis-url", NOBODY)
    assert result.exit_code == 2


@pytest.mark.parametrize("url", ["127.0.0.1:9850", "http://", "http://127.0.0.1:99999", "ftp://x"])
def test_a_url_other_than_http_is_status_2(url: str) -> None:
    assert invoke("report", "--url", url).exit_code == 2


@pytest.mark.parametrize("option", ["--config", "--redis-url", "--prefix", "--url", "--alertmanager"])
def test_an_option_without_a_value_is_an_error_not_the_default(option: str) -> None:
    result = invoke("top" if option == "--alertmanager" else "report", option, "")
    assert (result.exit_code, result.stderr) == (2, f"Error: {option} is empty: give it a value, or leave it out\n")


@pytest.mark.parametrize("option", ["--config", "--redis-url", "--prefix", "--http", "--ws"])
def test_the_daemon_refuses_an_option_without_a_value(option: str) -> None:
    result = invoke("run", option, "")
    assert (result.exit_code, f"{option} is empty" in result.stderr) == (2, True)


def test_warnings_of_the_configuration_are_shown_on_stderr() -> None:
    result = invoke("check", "--offline", SIDECAR_LEESE="3")
    assert result.exit_code == 0
    assert "Warning" in result.stderr
    assert "SIDECAR_LEESE" in result.stderr


def test_a_pipe_closed_by_the_reader_ends_a_command_quietly() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "sidecar", "schema"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT
    ) as process:
        assert process.stdout and process.stderr
        process.stdout.close()
        assert process.stderr.read() == b""


def test_a_line_is_broken_between_words_on_a_terminal_only() -> None:
    url = "redis://127.0.0.1:1/0"
    with on_terminal("report", "--redis-url", url) as terminal:
        assert terminal.process.wait(10) == 1
        terminal.wait_for("redis.url")
        lines = terminal.seen.splitlines()
    assert len(lines) > 1
    assert all(len(line) <= 100 for line in lines)
    assert " ".join(line.strip() for line in lines) == invoke("report", "--redis-url", url).stderr.strip()


def test_reason_and_fix_are_joined_by_one_character() -> None:
    assert ".;" not in invoke("report", "--redis-url", NOBODY).stderr


def test_no_memory_is_a_line_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(**_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(main.commands["schema"], "callback", exhausted)
    result = invoke("schema")
    assert (result.exit_code, "no memory is left" in result.stderr) == (1, True)
