"""The verdict of the gate: lines as k6 prints them, JUnit XML and Markdown for CI."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

from sidecar.cli.view.terminal import plain

if TYPE_CHECKING:
    from sidecar.core.snapshot.gate import GateLine, GateResult

MARKS = {"pass": "✓", "fail": "✗", "inconclusive": "?"}
UNREADABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # no XML has these


def lines(result: "GateResult") -> Iterator[str]:
    """Yield a line for each threshold."""
    for one in result.lines:
        optional = " (optional)" if one.optional else ""
        yield f"{MARKS[one.outcome]} {plain(one.metric)} '{plain(one.threshold)}' {said(one)}{optional}"


def said(one: "GateLine") -> str:
    """Return the value, and why that says nothing, if so."""
    value = "unknown" if one.value is None else f"{one.value:.6g}"
    limit = f", limit {one.limit:.6g}" if "baseline" in one.threshold and one.limit is not None else ""
    return f"{value}{limit}" + (f": {one.detail}" if one.detail else "")


def markdown(result: "GateResult") -> str:
    """Return a table for the summary of a CI job."""
    rows = [
        f"| {MARKS[one.outcome]} {one.outcome} | `{one.metric}` | `{one.threshold}` | {said(one)} |"
        for one in result.lines
    ]
    verdict = "passed" if result.passed else "did not pass"
    head = [f"### The gate {verdict}", "", "| | metric | threshold | value |", "| --- | --- | --- | --- |"]
    return "\n".join([*head, *rows]) + "\n"


def junit(result: "GateResult") -> str:
    """Return JUnit XML: a case a threshold, with what is wrong both as attribute and as text."""
    kinds = [_kind(one) for one in result.lines]
    counts = " ".join(f'{name}="{kinds.count(kind)}"' for name, kind in COUNTS.items())
    name = f"sale {result.sale}" if result.sale else "sale without a name"
    suite = f'<testsuite name={_quoted(name)} tests="{len(kinds)}" {counts} time="0">'
    cases = [_case(one, kind) for one, kind in zip(result.lines, kinds, strict=True)]
    head = '<?xml version="1.0" encoding="UTF-8"?>'
    return "\n".join([head, "<testsuites>", suite, *cases, "</testsuite>", "</testsuites>"]) + "\n"


COUNTS = {"failures": "failure", "errors": "error", "skipped": "skipped"}


def _kind(one: "GateLine") -> str:
    if one.outcome == "pass":
        return ""
    return "skipped" if one.optional else "failure" if one.outcome == "fail" else "error"


def _case(one: "GateLine", kind: str) -> str:
    opening = f'<testcase classname={_quoted(f"gate.{one.metric}")} name={_quoted(one.threshold)} time="0"'
    if not kind:
        return f"{opening}/>"
    text = f"{one.metric} {one.threshold}: {said(one)}"
    form = "" if kind == "skipped" else ' type="threshold"'
    return f"{opening}><{kind} message={_quoted(text)}{form}>{escape(_readable(text))}</{kind}></testcase>"


def _quoted(text: str) -> str:
    return quoteattr(_readable(text))


def _readable(text: str) -> str:
    return UNREADABLE.sub("?", text)
