"""Text to values by type; an error says what is wanted, never what was given, which may be a secret."""

from typing import Any

import pytest

from sidecar.config.structs import Seconds, Secret
from sidecar.config.values import convert

NAMES, NUMBERS = tuple[str, ...], tuple[float, ...]


@pytest.mark.parametrize(
    ("raw", "kind", "value"),
    [
        ("a, b,,c ", NAMES, ("a", "b", "c")),
        ("", NAMES, ()),
        (["a,b", "c"], NAMES, ("a,b", "c")),
        ("0.1, 1e3", NUMBERS, (0.1, 1000.0)),
        (["1", "2"], NUMBERS, (1.0, 2.0)),
        ("no", str, "no"),
        ("pass word", Secret, "pass word"),
        ("-1_000", int, -1000),
        ("ON", bool, True),
        ("0", bool, False),
        ("500ms", Seconds, 0.5),
        (" 2 m ", Seconds, 120.0),
        (".5h", Seconds, 1800.0),
        ("3", Seconds, 3.0),
    ],
)
def test_a_text_is_read_by_the_type_of_its_setting(raw: str | list[str], kind: Any, value: object) -> None:
    found = convert(raw, kind)
    assert found == value
    assert kind in (NAMES, NUMBERS) or isinstance(found, kind)


@pytest.mark.parametrize(
    ("raw", "kind", "wanted"),
    [
        (["a"], str, "single value"),
        (["5"], int, "single value"),
        ('["a"]', NAMES, "separated by commas"),
        ("['a']", NAMES, "separated by commas"),
        ("1, many", NUMBERS, "list of numbers"),
        ("inf", NUMBERS, "list of numbers"),
        ("1.5", int, "whole number"),
        ("٣", int, "whole number"),
        ("9" * 19, int, "whole number"),
        ("maybe", bool, "true or false"),
        ("soon", Seconds, "a duration such as"),
        ("-5s", Seconds, "a duration such as"),
        ("5 days", Seconds, "a duration such as"),
    ],
)
def test_a_text_of_another_type_says_what_is_wanted(raw: str | list[str], kind: Any, wanted: str) -> None:
    with pytest.raises(ValueError, match=wanted) as error:
        convert(raw, kind)
    assert str(raw) not in str(error.value)


@pytest.mark.parametrize(("raw", "kind"), [('"a"', str), ("'a'", str), ("a,'b'", NAMES), (['"a"'], NAMES)])
def test_quotes_that_docker_and_systemd_keep_are_told(raw: str | list[str], kind: Any) -> None:
    with pytest.raises(ValueError, match="quotes around it"):
        convert(raw, kind)


def test_quotes_within_a_value_are_part_of_it() -> None:
    assert convert("it's", str) == "it's"
    assert convert('"', str) == '"'


def test_a_secret_may_have_quotes_and_does_not_show() -> None:
    secret = convert('"hidden"', Secret)
    assert (secret, repr(secret), repr(Secret(""))) == ('"hidden"', "'***'", "''")
