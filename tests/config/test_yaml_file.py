"""A configuration file is read as texts with their lines; no error quotes a value."""

from pathlib import Path

import pytest

from sidecar.config.yaml_file import read_file
from sidecar.errors import ConfigError

SECRET = "hunter2hunter2"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "sidecar.yml"


def test_settings_have_dotted_names_and_lines(file: Path) -> None:
    file.write_text("redis:\n  url: redis://here\nproducts: [no, 0123]\n")
    assert read_file(str(file)) == {
        "redis.url": ("redis://here", f"{file}:2"),
        "products": (["no", "0123"], f"{file}:3"),
    }


@pytest.mark.parametrize("text", ["", "# nothing\n", "null\n", "redis:\n", "redis: {url: }\n"])
def test_what_is_left_empty_is_not_set(file: Path, text: str) -> None:
    file.write_text(text)
    assert read_file(str(file)) == {}


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("- a\n", 1, "write `name: value` lines"),
        ("redis: there\n", 1, '"redis" is a section'),
        ("? [a]\n: b\n", 1, "must be a plain word"),
        ("\nredis: {uri: x}\n", 2, 'did you mean "url"'),
        ("lease: 5s\nlease: 6s\n", 2, "set twice, first at"),
        ("lease: {a: b}\n", 1, "must be a value or a list of values"),
        ("products: [[a]]\n", 1, "must be a value or a list of values"),
        ("lease: 5s\n\tproducts: a\n", 2, "a tab"),
        ("products: [a\nlease: 5s\n", 2, "not valid YAML"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(file: Path, text: str, line: int, problem: str) -> None:
    file.write_text(text)
    with pytest.raises(ConfigError) as error:
        read_file(str(file))
    assert str(error.value).startswith(f"{file}:{line}: ")
    assert problem in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        f"redis: {{password: *{SECRET}}}\n",
        f"redis: {{password: !{SECRET}! x}}\n",
        f'redis: {{password: "{SECRET}\n',
        f"redis: {{password: [{SECRET}\n",
        f"redis: {{password: %{SECRET}}}\n",
        f"{SECRET}: 1\n{SECRET}: 2\n: :",
    ],
)
def test_an_error_of_syntax_quotes_no_value(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(ConfigError) as error:
        read_file(str(file))
    assert SECRET not in str(error.value)
    assert error.value.__cause__ is None


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"\xff\xfe\x00", "UTF-8"),
        (b"[" * 500, "nested too deeply"),
        (b'lease: "\\UFFFFFFFF"', "not valid YAML"),
        (b"lease: \x00", "not valid YAML"),
    ],
)
def test_a_file_that_is_no_yaml_is_named(file: Path, content: bytes, problem: str) -> None:
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=problem) as error:
        read_file(str(file))
    assert str(file) in str(error.value)


def test_a_file_that_is_not_there_is_named(file: Path) -> None:
    with pytest.raises(ConfigError, match=f"cannot read the configuration {file}: No such file"):
        read_file(str(file))
