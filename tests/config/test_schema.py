"""The JSON Schema of the configuration accepts what can be loaded, and finds what is misspelled."""

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from sidecar.config.mappings import names, ready_made
from sidecar.config.schema import json_schema
from tests.test_docs import PAGES, ROOT, blocks

VALIDATOR = jsonschema.Draft7Validator(json_schema())
EXAMPLES = [
    text
    for path in PAGES
    for text in blocks(str(path.relative_to(ROOT)), "yaml")
    if not text.startswith((" ", "scrape_configs"))
]


def problems(text: str) -> list[str]:
    """Return what is wrong with a configuration."""
    return [error.message for error in VALIDATOR.iter_errors(yaml.safe_load(text))]


def test_the_schema_is_one() -> None:
    jsonschema.Draft7Validator.check_schema(json_schema())


@pytest.mark.parametrize("path", ["config/sidecar.yml", "tests/corpus/mappings.yml"])
def test_a_file_that_loads_is_valid(path: str) -> None:
    assert problems((ROOT / path).read_text()) == []


@pytest.mark.parametrize("at", range(len(EXAMPLES)))
def test_the_examples_of_the_docs_are_valid(at: int) -> None:
    assert problems(EXAMPLES[at]) == []


@pytest.mark.parametrize("name", names())
def test_every_ready_made_mapping_is_valid(name: str) -> None:
    mapping: dict[str, Any] = yaml.safe_load(ready_made(name))
    assert problems(yaml.safe_dump({"mappings": [mapping | {"sources": ["pubsub:shop"]}]})) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "redis:",
        "products: 7",
        "products: [7, no]",
        "commit_interval: 250ms",
        "lease: 2",
        "metrics: {keep_rejected: off, buckets: 1}",
        "mappings: [{use: shopify, sources: 'pubsub:shop', event: {amount: {path: total, scale: 2}}}]",
    ],
)
def test_what_may_be_written_is_valid(text: str) -> None:
    assert problems(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "product: [a]",
        "redis: {urll: redis://x}",
        "commit_interval: soon",
        "log: {level: loud}",
        "mappings: {use: shopify}",
        "mappings: [{use: shopfy, sources: ['pubsub:shop']}]",
        "mappings: [{source: ['pubsub:shop']}]",
        "mappings: [{rules: [{where: {a: b}}]}]",
        "mappings: [{rules: [{when: {a: {equal: b}}}]}]",
        "mappings: [{rules: [{event: {order: a}}]}]",
        "mappings: [{rules: [{event: {status: {path: a, word: {b: success}}}}]}]",
        "mappings: [{rules: [{event: {ts: {path: a, unit: days}}}]}]",
        "mappings: [{rules: [{event: {items: {path: a, item: {sku: b}}}}]}]",
        "mappings: [{otherwise: ignore}]",
        "mappings: [{inner: {a: gzip}}]",
    ],
)
def test_what_is_misspelled_is_found(text: str, tmp_path: Path) -> None:
    assert problems(text) != []
