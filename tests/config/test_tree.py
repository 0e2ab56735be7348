"""A list of structs in YAML becomes structs; what is wrong is told with its line, and no file takes the reader down."""

from pathlib import Path

import pytest

from sidecar.config.loading import load
from sidecar.core.mapping.definition import Condition, Value
from sidecar.errors import ConfigError

HEAD = "mappings:\n  - name: shop\n    sources: pubsub:shop\n"


def problem(folder: Path, text: str) -> str:
    """Return what is wrong with a file of mappings, with `FILE` for its path."""
    file = folder / "sidecar.yml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(str(file), environ={})
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(str(file), "FILE")


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        (
            "    rules: [{evnt: {status: s}}]\n",
            "FILE:4: mappings[0].rules[0] has no setting 'evnt'; did you mean \"event\"?",
        ),
        ("    colour: red\n", "FILE:4: mappings[0] has no setting 'colour'; there is name, use, sources, entry"),
        ("    otherwise: ignore\n", "FILE:4: mappings[0].otherwise must be one of read, drop, reject"),
        ("    zone: [a]\n", "FILE:4: mappings[0].zone must be a single value"),
        ("    rules:\n      - drop: maybe\n", "FILE:5: mappings[0].rules[0].drop must be true or false"),
        ("    rules:\n      - event: {amount: {path: a, scale: two}}\n", "scale must be a whole number"),
        (
            "    rules:\n      - when: {n: {above: much}}\n",
            "FILE:5: mappings[0].rules[0].when.n.above must be a number",
        ),
        ("    rules: all\n", "FILE:4: mappings[0].rules[0] is a section: write `name: value` lines below it"),
        ("    event: status\n", "FILE:4: mappings[0].event is a section"),
        ("    inner: {body: xml}\n", "FILE:4: mappings[0].inner.body must be one of json, base64"),
        ("    name: again\n", "FILE:4: name is set twice"),
        ("    ? [a]\n    : b\n", "FILE:2: a name must be a plain word"),
        ('    name2: "\\uD800"\n', "FILE:4: holds what is no character"),
    ],
)
def test_what_is_wrong_is_told_with_file_line_and_name(tmp_path: Path, rest: str, expected: str) -> None:
    assert expected in problem(tmp_path, HEAD + rest)


@pytest.mark.parametrize("text", ["mappings: shop\n", "mappings: {name: shop}\n"])
def test_mappings_are_a_list(tmp_path: Path, text: str) -> None:
    assert problem(tmp_path, text) == "FILE:1: mappings is a list: write `- use: NAME` or `- name: NAME` below it"


def test_each_of_them_is_a_section(tmp_path: Path) -> None:
    assert problem(tmp_path, "mappings:\n  - shopify\n").startswith(
        "FILE:2: mappings[0] is a section: write `use: NAME`"
    )


def test_what_may_be_written_short_is(tmp_path: Path) -> None:
    file = tmp_path / "sidecar.yml"
    file.write_text(
        HEAD + "    repeats: id\n    zone:\n    rules:\n      - when: {a: x, b: [x, y], c: {above: 1}}\n"
        "        event: {status: {value: paid}, order_id: nr, reason: [why, code]}\n"
    )
    (found,) = load(str(file), environ={}).config.mappings
    assert (found.repeats, found.zone, found.rules[0].name) == (("id",), "", "1")
    assert found.rules[0].when["a"] == Condition(equals="x")
    assert found.rules[0].when["b"] == Condition(one_of=("x", "y"))
    assert found.rules[0].event["order_id"] == Value(path=("nr",))
    assert found.rules[0].event["reason"] == Value(path=("why", "code"))


def test_an_alias_stands_for_what_it_names(tmp_path: Path) -> None:
    file = tmp_path / "sidecar.yml"
    file.write_text(
        HEAD
        + "    rules:\n      - {when: {a: x}, event: &paid {status: {value: paid}}}\n"
        + "      - {when: {a: y}, event: *paid}\n"
    )
    (found,) = load(str(file), environ={}).config.mappings
    assert found.rules[0].event == found.rules[1].event


def test_an_error_in_an_alias_names_the_line_of_what_it_names(tmp_path: Path) -> None:
    text = HEAD + "    rules:\n      - {when: {a: x}, event: &paid {status: {value: payed}}}\n      - {event: *paid}\n"
    assert problem(tmp_path, text).startswith('FILE:5: mappings[0].rules[0].event.status makes "payed" of it')


@pytest.mark.parametrize(
    "rules",
    [
        "      - {when: {a: x}, event: &paid {status: {value: paid}}}\n      - event: {<<: *paid, order_id: nr}\n",
        "      - when: {<<: {a: x}}\n        event: {status: s}\n",
    ],
)
def test_merge_keys_are_not_supported_and_that_is_told(tmp_path: Path, rules: str) -> None:
    found = problem(tmp_path, HEAD + "    rules:\n" + rules)
    assert found.endswith("<< is not supported: write the settings out, or *name for all of them")
    assert found.startswith("FILE:6: " if "*paid" in rules else "FILE:5: ")


def test_a_quoted_merge_key_is_a_name(tmp_path: Path) -> None:
    assert "is no field of such an event" in problem(tmp_path, HEAD + '    rules: [{event: {status: s, "<<": x}}]\n')


@pytest.mark.parametrize(
    "text",
    ["mappings: &all\n  - *all\n", "mappings:\n  - &one {event: {a: *one}}\n", "mappings: " + "[" * 60 + "]" * 60],
)
def test_an_alias_within_what_it_names_ends(tmp_path: Path, text: str) -> None:
    assert "is nested too deeply; does an alias (*name) stand within what it names?" in problem(tmp_path, text)


def test_aliases_that_grow_without_end_are_told(tmp_path: Path) -> None:
    lists = "\n".join(f"  - &l{n + 1} [{', '.join([f'*l{n}'] * 9)}]" for n in range(9))
    assert "aliases (*name) make it too large" in problem(tmp_path, f"mappings:\n  - &l0 [x]\n{lists}\n")
