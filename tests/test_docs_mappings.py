"""The page on mappings names everything that there is, and what it shows is so."""

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sidecar.config.loading import load
from sidecar.config.mappings import names, ready_made_definition
from sidecar.core.mapping.definition import Condition, Definition, Items, Rule, Value
from sidecar.core.mapping.mapping import Mapping
from tests.cli.commands import invoke
from tests.test_docs import blocks, page

PAGE = "docs/reference/mappings.md"
NOW = 1_796_040_000.0
# Rows of a table, in which a cell in backticks is an example.
ROW = re.compile(r"^\| (.*) \|$", re.MULTILINE)
KEYS: dict[str, type[msgspec.Struct]] = {
    "A mapping": Definition,
    "Rules": Rule,
    "Conditions": Condition,
    "Values": Value,
    "Items": Items,
}


def section(heading: str) -> str:
    """Return the text below a heading, up to the next one."""
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", page(PAGE), re.DOTALL | re.MULTILINE)
    assert found, heading
    return found[1]


def rows(heading: str) -> list[list[str]]:
    """Return the rows of a section's table, without its head; cells without their backticks."""
    return [[cell.strip("`") for cell in row.split(" | ")] for row in ROW.findall(section(heading))[1:]]


def compiled(tmp_path: Path, rule: str) -> Mapping:
    """Return a mapping with a rule, written as a user would."""
    file = tmp_path / "sidecar.yml"
    file.write_text(f"mappings:\n  - sources: [pubsub:shop]\n    otherwise: reject\n    rules:\n      - {rule}\n")
    (definition,) = load(str(file), environ={}).config.mappings
    return Mapping(definition, currency="XXX")


@pytest.mark.parametrize("heading", KEYS)
def test_the_page_names_every_key(heading: str) -> None:
    text = section(heading)
    fields = [field.encode_name for field in msgspec.structs.fields(KEYS[heading])]
    assert [name for name in fields if f"`{name}`" not in text] == []


@pytest.mark.parametrize("at", range(len(blocks(PAGE, "yaml"))))
def test_every_example_loads(at: int, tmp_path: Path) -> None:
    file = tmp_path / "sidecar.yml"
    file.write_text(blocks(PAGE, "yaml")[at])
    assert load(str(file), environ={}).config.mappings


@pytest.mark.parametrize(("path", "payload", "found"), rows("Paths"), ids=lambda cell: str(cell))
def test_every_path_shown_finds_what_is_said(path: str, payload: str, found: str, tmp_path: Path) -> None:
    rule = f"event: {{status: {{value: success}}, order_id: '{path}'}}"
    (outcome,) = compiled(tmp_path, rule).outcomes(payload.encode(), NOW)
    assert outcome.event is not None
    assert outcome.event.order_id == found


@pytest.mark.parametrize(("key", "example", "takes", "leaves"), rows("Conditions"), ids=lambda cell: str(cell))
def test_every_condition_shown_takes_what_is_said(
    key: str, example: str, takes: str, leaves: str, tmp_path: Path
) -> None:
    mapping = compiled(tmp_path, f"{{when: {{{example}}}, event: {{status: {{value: success}}}}}}")
    kinds = [outcome.kind for payload in (takes, leaves) for outcome in mapping.outcomes(payload.encode(), NOW)]
    assert kinds == ["mapped", "rejected"]


@pytest.mark.parametrize(("key", "use", "example", "payload", "becomes"), rows("Values"), ids=lambda cell: str(cell))
def test_every_value_shown_becomes_what_is_said(
    key: str, use: str, example: str, payload: str, becomes: str, tmp_path: Path
) -> None:
    name = example.partition(":")[0]
    assert f"{key}:" in example or key == "path"
    status = "" if name == "status" else "status: {value: success}, "
    (outcome,) = compiled(tmp_path, f"event: {{{status}{example}}}").outcomes(payload.encode(), NOW)
    assert outcome.event is not None, outcome
    found: Any = getattr(outcome.event, name)
    assert found == becomes if isinstance(found, str) else Decimal(str(found)) == Decimal(becomes)


@pytest.mark.parametrize("name", names())
def test_the_page_has_the_rules_and_words_of_each_ready_made_mapping(name: str) -> None:
    text, definition = section(name), ready_made_definition(name)
    words = {rule.name for rule in definition.rules}.union(*map(conditions, definition.rules), definition.drop_payloads)
    for event in (definition.event, *(rule.event for rule in definition.rules)):
        for value in event.values():
            words |= set(value.words) if isinstance(value, Value) else set()
    assert [word for word in sorted(words) if not re.search(rf"`[^`]*\b{re.escape(word)}[^`]*`", text)] == []


def conditions(rule: Rule) -> Iterator[str]:
    """Yield the words that a rule asks for."""
    for condition in rule.when.values():
        yield from filter(None, (*condition.one_of, condition.equals, condition.starts_with))


def test_the_examples_of_payloads_are_json() -> None:
    cells = [cell for heading in ("Paths", "Conditions", "Values") for row in rows(heading) for cell in row]
    for cell in cells:
        if cell.startswith(("{", '["')):
            json.loads(cell)


def test_your_format_becomes_what_its_page_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = "docs/how-to/your-format.md"
    (payload,) = blocks(path, "json")
    shown = [text.split("\n", 1)[1] for text in blocks(path, "") if text.startswith("$ sidecar map")]
    (tmp_path / "payload.json").write_text(payload)
    monkeypatch.chdir(tmp_path)
    outputs = []
    for settings in blocks(path, "yaml"):
        (tmp_path / "sidecar.yml").write_text(settings)
        outputs.append(invoke("map", "--config", "sidecar.yml", "payload.json").stdout)
    assert len(shown) == len(outputs) == 2
    assert all(output.startswith(text.removesuffix("...\n")) for output, text in zip(outputs, shown, strict=True))
