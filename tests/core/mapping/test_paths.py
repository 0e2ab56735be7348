"""Paths find what is there, and nothing elsewhere; what is no path is told."""

from typing import Any

import pytest

from sidecar.core.mapping.paths import first_of, get_by, replace_at, steps_of
from tests.core.mapping.made import event


@pytest.mark.parametrize(
    ("path", "steps"),
    [
        ("id", ("id",)),
        ("data.object.id", ("data", "object", "id")),
        ('"detail-type"', ("detail-type",)),
        ("detail-type", ("detail-type",)),
        ('a."b.c".d', ("a", "b.c", "d")),
        ('"@class"', ("@class",)),
        ("lines[0].sku", ("lines", 0, "sku")),
        ("lines[-1]", ("lines", -1)),
        ("[1].data[1]", (1, "data", 1)),
        ("a[0][1]", ("a", 0, 1)),
        ("größe", ("größe",)),
    ],
)
def test_a_path_is_names_and_indexes(path: str, steps: tuple[str | int, ...]) -> None:
    assert steps_of(path) == steps


@pytest.mark.parametrize("path", ["a.", "a..b", "a[", "a[x]", "a b", '"a', 'a"b"', "a[0]b", "a[1.5]", ".a"])
def test_what_is_no_path_is_told_with_how_to_write_one(path: str) -> None:
    with pytest.raises(ValueError, match="is no path: write names joined by dots"):
        steps_of(path)


def test_an_empty_path_is_told() -> None:
    with pytest.raises(ValueError, match="empty path: name a field"):
        steps_of("")


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("a.b", 1),
        ("a.c", None),
        ("x.y", None),
        ("a.b.c", None),
        ("list[0]", "first"),
        ("list[-1]", "last"),
        ("list[2]", None),
        ("list.first", None),
        ("a[0]", None),
        ("text[0]", None),
    ],
)
def test_a_path_finds_what_is_there_and_nothing_else(path: str, found: Any) -> None:
    assert get_by(steps_of(path))({"a": {"b": 1}, "list": ["first", "last"], "text": "abc"}) == found


def test_the_first_alternative_with_a_value_counts() -> None:
    get = first_of([get_by((name,)) for name in "abc"])
    assert get({"a": None, "b": "", "c": 0}) == 0
    assert get({"a": ""}) is None


@pytest.mark.parametrize(
    ("payload", "order_id"),
    [
        ({"paid_at_id": None, "created_id": "2"}, "2"),
        ({"paid_at_id": "", "created_id": "2"}, "2"),
        ({"paid_at_id": "1", "created_id": "2"}, "1"),
        ({}, None),
    ],
)
def test_null_and_an_empty_text_leave_the_field_to_the_next_path(payload: Any, order_id: str | None) -> None:
    assert event("order_id: [paid_at_id, created_id]", payload).order_id == order_id


@pytest.mark.parametrize("path", ["body", "a.body", "list[0]"])
def test_what_is_at_a_path_is_changed_in_place(path: str) -> None:
    payload = {"body": "x", "a": {"body": "x"}, "list": ["x"]}
    assert replace_at(payload, steps_of(path), str.upper) is payload
    assert get_by(steps_of(path))(payload) == "X"


@pytest.mark.parametrize("payload", [{}, {"a": None}, {"a": {"b": None}}, {"a": "text"}, []])
def test_nothing_changes_where_nothing_is(payload: Any) -> None:
    assert replace_at(payload, ("a", "b"), lambda found: pytest.fail(str(found))) is payload
