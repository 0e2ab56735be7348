"""`sidecar gate`: did the sale keep to its thresholds? For CI jobs, with an exit status that says so."""

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sidecar.cli.client.readers import reader
from sidecar.cli.options import Where, reader_options
from sidecar.errors import ConfigError, SidecarError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sidecar.cli.client.readers import Reader
    from sidecar.core.counts.manifest import Threshold
    from sidecar.core.snapshot.report import Report

FAILED = 99  # as k6
WATCH_SECONDS = 1.0
WRITTEN = re.compile(r"([^:{}]+(?:\{[^{}]*\})?)\s*:(.*)", re.DOTALL)


@click.command(short_help="Did the sale keep to its thresholds? For CI.")
@click.argument("id", required=False)
@click.option(
    "--threshold", "given", multiple=True, metavar="METRIC:EXPR", help="Another one, as latency_ms:p(99)<800."
)
@click.option("--report", "file", metavar="FILE", help="Judge this report, from `sidecar report --json`.")
@click.option("--against", metavar="FILE", help="The report that `baseline` stands for.")
@click.option("--watch", is_flag=True, help="Until the sale ends, or a threshold with abortOnFail breaks.")
@click.option("--junit", metavar="FILE", help="Write JUnit XML there.")
@click.option("--markdown", metavar="FILE", help="Append a Markdown table, as to $GITHUB_STEP_SUMMARY.")
@reader_options
def gate(
    where: Where,
    id: str | None,
    given: tuple[str, ...],
    file: str | None,
    against: str | None,
    watch: bool,
    junit: str | None,
    markdown: str | None,
) -> None:
    """Judge the present sale by the thresholds of its manifest, and by those given.

    The exit status is 99 if a threshold fails or is inconclusive, 1 if nothing could be judged, and 2 for wrong usage,
    such as a misspelled metric.
    """
    from sidecar.cli.view import verdict
    from sidecar.core.snapshot.gate import judge

    thresholds: dict[str, list[Threshold]] = {}
    source: Reader | None = None
    if file is None:
        source = reader(where)
        report = source.report()
    else:
        report = _read(file)
    if id is not None and id != report.sale.id:
        raise SidecarError(f"there is no report of {id}: the present sale is {report.sale.id or 'without a name'}")
    for name, several in _planned(source, report).items():
        thresholds.setdefault(name, []).extend(several)
    for text in given:
        name, threshold = _given(text)
        thresholds.setdefault(name, []).append(threshold)
    baseline = _read(against) if against else None
    result = judge(thresholds, report, baseline)
    while watch and source is not None and report.sale.state != "ended" and not any(one.aborts for one in result.lines):
        time.sleep(WATCH_SECONDS)
        report = source.report()
        result = judge(thresholds, report, baseline)
    for line in verdict.lines(result):
        click.echo(line)
    if junit:
        Path(junit).write_text(verdict.junit(result), encoding="utf-8")
    if markdown:
        with Path(markdown).open("a", encoding="utf-8") as summary:
            summary.write(verdict.markdown(result))
    if not result.passed:
        raise click.exceptions.Exit(FAILED)


def _planned(source: "Reader | None", report: "Report") -> "Mapping[str, Iterable[Threshold]]":
    """Return the thresholds of the manifest of the present sale."""
    present = None if source is None else next((one for one in source.sales() if one.id == report.sale.id), None)
    return present.manifest.thresholds if present and present.manifest else {}


def _given(text: str) -> "tuple[str, Threshold]":
    from sidecar.core.counts.manifest import Threshold

    found = WRITTEN.fullmatch(text)
    if found is None:
        raise ConfigError(f"--threshold {text!r}: write METRIC:EXPR, as in latency_ms:p(99)<800")
    return found[1].strip(), Threshold(threshold=found[2].strip())


def _read(file: str) -> "Report":
    import msgspec

    from sidecar.core.snapshot.report import Report

    try:
        return msgspec.json.decode(Path(file).read_bytes(), type=Report)
    except OSError as exc:
        raise ConfigError(f"cannot read the report {file}: {exc.strerror}") from exc
    except (ValueError, RecursionError) as exc:
        raise ConfigError(f"{file} is no report: write one with `sidecar report --json` ({exc})") from exc
