"""What was measured, against what was wanted: rows, and how they are shown."""

import statistics
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

RESULTS = Path(__file__).parent / "RESULTS.md"
TITLE = "# Results of the benchmark\n\n`make bench` writes this file; a run of one part replaces that part only.\n"


@dataclass
class Sample:
    """One thing measured several times."""

    values: list[float]
    unit: str

    @property
    def median(self) -> float:
        """The median of the rounds."""
        return statistics.median(self.values)

    def __str__(self) -> str:
        spread = f" ({number(min(self.values))}-{number(max(self.values))})" if len(self.values) > 1 else ""
        return f"{number(self.median)}{spread} {self.unit}"


@dataclass
class Row:
    """One goal. With a yardstick the limit is on a ratio: ours / its, or its / ours where `at_least`."""

    what: str
    ours: Sample
    limit: float
    goal: str
    yardstick: Sample | None = None
    yardstick_is: str = ""
    at_least: bool = False

    @property
    def reached(self) -> float:
        """The figure that is compared with the limit."""
        if self.yardstick is None:
            return self.ours.median
        ratio = self.ours.median / self.yardstick.median if self.yardstick.median else float("inf")
        return 1 / ratio if self.at_least else ratio

    @property
    def met(self) -> bool:
        """Tell whether the goal is reached."""
        return self.reached >= self.limit if self.at_least else self.reached <= self.limit

    def cells(self) -> tuple[str, str, str, str, str, str]:
        """Return the row as text."""
        beside = f"{self.yardstick}: {self.yardstick_is}" if self.yardstick else self.yardstick_is
        reached = f"{number(self.reached)} x" if self.yardstick else ""
        return self.what, str(self.ours), beside, reached, self.goal, "met" if self.met else "short"


@dataclass
class Report:
    """What one part of the benchmark found."""

    title: str
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    plots: list[str] = field(default_factory=list)  # file names in plots/

    def note(self, text: str) -> None:
        """Add a line under the table: a figure without a goal, or what could not be measured."""
        self.notes.append(text)


HEADINGS = ("what", "measured, median (least-most)", "beside", "ratio", "goal", "")


def number(value: float) -> str:
    """Return three digits, or more where they stand before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def show(report: Report, console: Console) -> None:
    """Print one part's table."""
    table = Table(*HEADINGS, title=report.title, title_justify="left")
    for row in report.rows:
        *cells, verdict = row.cells()
        table.add_row(*map(escape, cells), f"[{'green' if row.met else 'red'}]{verdict}[/]")
    if report.rows:
        console.print(table)
    for note in report.notes:
        console.print(f"  {escape(note)}")


def section(report: Report, machine: str) -> str:
    """Return one part as Markdown."""
    lines = [f"## {report.title}", "", machine, ""]
    if report.rows:
        lines += ["| " + " | ".join(HEADINGS) + " |", "|---" * len(HEADINGS) + "|"]
        lines += ["| " + " | ".join(row.cells()) + " |" for row in report.rows]
        lines.append("")
    lines += [f"- {note}" for note in report.notes] + [""] * bool(report.notes)
    lines += [f"![{name}](plots/{name})" for name in report.plots]
    return "\n".join(lines).strip() + "\n"


def keep(reports: list[Report], machine: str, file: Path = RESULTS) -> None:
    """Write the parts into the file, each in place of its last result."""
    known: dict[str, str] = {}
    if file.exists():
        for text in file.read_text().split("\n## ")[1:]:
            known[text.partition("\n")[0]] = f"## {text.strip()}\n"
    known |= {report.title: section(report, machine) for report in reports}
    file.write_text(TITLE + "".join(f"\n{text}" for text in known.values()))
