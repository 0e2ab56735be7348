"""Write prometheusrule.yml, the rules of monitoring/rules for the Prometheus Operator: `make kubernetes`."""

from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
RULES = HERE.parent / "rules"
TARGET = HERE / "prometheusrule.yml"
HEADER = "# Made from monitoring/rules by `make kubernetes`; a test finds drift. Change the rules there.\n"


def build() -> str:
    """Return the text of the file."""
    groups = [group for path in sorted(RULES.glob("*.yml")) for group in yaml.safe_load(path.read_text())["groups"]]
    rule: dict[str, Any] = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {
            "name": "flash-sale",
            "namespace": "flash-sale",
            "labels": {"app.kubernetes.io/name": "flash-sale-sidecar"},
        },
        "spec": {"groups": groups},
    }
    return HEADER + yaml.dump(rule, Dumper=_Plain, sort_keys=False, width=120)


class _Plain(yaml.SafeDumper):
    """Without anchors: what two rules share is written out. Lines stay lines."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_str(self, data: str) -> yaml.ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:str", data, style="|" if "\n" in data else None)


_Plain.add_representer(str, _Plain.represent_str)


if __name__ == "__main__":
    TARGET.write_text(build())
