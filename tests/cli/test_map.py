"""`sidecar map` shows what mappings make of payloads, from files or standard input, without a Redis."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sidecar.cli import main
from sidecar.config.mappings import names

MAPPING = """
mappings:
  - name: shop
    sources: [pubsub:shop]
    rules:
      - name: paid
        when: {kind: paid}
        event: {status: {value: success}, order_id: nr, latency_ms: ms}
      - name: draft
        when: {kind: draft}
        drop: true
    otherwise: reject
"""
PAID, DRAFT, OTHER = ('{"kind":"paid","nr":7,"ms":5}', '{"kind":"draft"}', '{"kind":"what"}')


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "sidecar.yml"
    path.write_text(MAPPING)
    return str(path)


def run(*arguments: str, text: str | bytes = "") -> Result:
    return CliRunner().invoke(main, ["map", *arguments], input=text)


def test_each_line_of_standard_input_is_shown_with_what_becomes_of_it(config: str) -> None:
    found = run("--config", config, text=f"{PAID}\n{DRAFT}\n{OTHER}\nnonsense\n")
    assert found.exit_code == 1
    assert "line 1: order by mapping shop, rule paid" in found.stdout
    assert "status=success order_id=7 latency_ms=5.0" in found.stdout
    assert "line 2: dropped by mapping shop, rule draft" in found.stdout
    assert "line 3: rejected: unmapped: event: no rule takes it (mapping shop, rule otherwise)" in found.stdout
    assert "line 4: rejected: not_json" in found.stdout
    assert "4 payloads: 1 event, 1 dropped, 2 rejected" in found.stderr


def test_a_file_that_is_one_value_on_many_lines_is_one_payload(config: str, tmp_path: Path) -> None:
    (tmp_path / "order.json").write_text(json.dumps(json.loads(PAID), indent=1))
    found = run("--config", config, str(tmp_path / "order.json"))
    assert (found.exit_code, found.stdout.splitlines()[0]) == (0, "order.json: order by mapping shop, rule paid")


def test_json_has_an_object_a_line(config: str) -> None:
    found = run("--config", config, "--json", text=f"{PAID}\n{DRAFT}\n{OTHER}\n")
    mapped, dropped, rejected = map(json.loads, found.stdout.splitlines())
    assert mapped["event"] == {"type": "order", "status": "success", "order_id": "7", "latency_ms": 5.0}
    assert (dropped["outcome"], dropped["rule"]) == ("dropped", "draft")
    assert (rejected["outcome"], rejected["reason"]) == ("rejected", "unmapped")


def test_a_path_that_no_event_had_is_named(config: str) -> None:
    found = run("--config", config, text='{"kind":"paid","nr":7}')
    assert found.exit_code == 0
    assert "mapping shop, rule paid: no event had latency_ms" in found.stderr


def test_a_ready_made_mapping_needs_no_configuration() -> None:
    found = run("--use", "shopify", "tests/corpus/shopify-orders-create.json")
    assert (found.exit_code, "rule order" in found.stdout) == (0, True)


def test_a_ready_made_mapping_reads_no_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIDECAR_CONFIG", str(tmp_path / "is-not-there.yml"))
    assert run("--use", "shopify", "tests/corpus/shopify-orders-create.json").exit_code == 0


def test_a_warning_about_the_configuration_stands_once(config: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIDECAR_LOG_LEVL", "info")
    assert run("--config", config, text=PAID).stderr.count("SIDECAR_LOG_LEVL") == 1


def test_the_ready_made_mappings_are_listed_by_what_they_are_for() -> None:
    found = run("--use", "list")
    assert [line.split()[0] for line in found.stdout.splitlines()] == names()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--use", "shopfy"], 'did you mean "shopify"?'),
        ([], "there is no mapping in no configuration file"),
        (["--config", "CONFIG", "--source", "pubsub:ship"], "no mapping has the source pubsub:ship"),
    ],
)
def test_wrong_usage_says_what_there_is(arguments: list[str], message: str, config: str) -> None:
    found = run(*(config if one == "CONFIG" else one for one in arguments), text=PAID)
    assert (found.exit_code, message in found.stderr) == (2, True)


def test_of_mappings_of_several_sources_one_source_must_be_chosen(config: str, tmp_path: Path) -> None:
    Path(config).write_text(MAPPING + "  - use: stripe\n    sources: [pubsub:stripe]\n")
    assert "choose one with --source: pubsub:shop, pubsub:stripe" in run("--config", config, text=PAID).stderr
    assert run("--config", config, "--source", "pubsub:shop", text=PAID).exit_code == 0
