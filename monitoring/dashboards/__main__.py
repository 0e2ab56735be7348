"""Write the dashboards where Grafana's provisioning finds them: `python -m monitoring.dashboards`.

A folder here is a folder in Grafana; what is in none is in the one that everybody sees.
"""

import json
from collections.abc import Callable
from pathlib import Path

from grafana_foundation_sdk.builders import dashboard as build

from monitoring.dashboards import business, flash_sale, infrastructure, sidecar
from monitoring.dashboards.board import document

FOLDER = Path(__file__).parents[1] / "grafana" / "dashboards"

DASHBOARDS: dict[str, Callable[[], build.Dashboard]] = {
    "flash-sale-dashboard.json": flash_sale.dashboard,
    "Business/business-dashboard.json": business.dashboard,
    "Operations/sidecar-dashboard.json": sidecar.dashboard,
    "Operations/infrastructure-dashboard.json": infrastructure.dashboard,
}


def rendered() -> dict[str, str]:
    """Return the text of every file, by its name below `FOLDER`."""
    return {
        name: json.dumps(document(dashboard()), indent=2, ensure_ascii=False) + "\n"
        for name, dashboard in DASHBOARDS.items()
    }


def main() -> None:
    """Write them."""
    for name, text in rendered().items():
        file = FOLDER / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
