"""The committed dashboards, read as Grafana reads them."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "monitoring" / "grafana" / "dashboards"
FILES = sorted(FOLDER.rglob("*.json"))
NAMES = [str(file.relative_to(FOLDER)) for file in FILES]


@dataclass(frozen=True)
class Target:
    """A query of a panel, and the labels that its legend shows."""

    where: str
    expression: str
    instant: bool
    legend: str

    @property
    def labels(self) -> list[str]:
        """The labels in the legend."""
        return re.findall(r"\{\{\s*(\w+)\s*}}", self.legend)


def read(name: str) -> dict[str, Any]:
    """Return a dashboard as committed."""
    found: dict[str, Any] = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    return found


def panels(name: str) -> list[dict[str, Any]]:
    """Return its panels, without the headings of rows."""
    return [panel for panel in read(name)["panels"] if panel["type"] != "row"]


def targets(name: str) -> Iterator[Target]:
    """Yield every query of every panel."""
    for panel in panels(name):
        for target in panel["targets"]:
            where = f"{name}: {panel['title']} ({target['refId']})"
            yield Target(where, target["expr"], bool(target.get("instant")), target.get("legendFormat", ""))
