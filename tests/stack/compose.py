"""docker-compose.yml as Docker Compose reads it: merged, and with the variables of an environment put in."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker-compose.yml"
EXAMPLE = ROOT / ".env.example"
VARIABLE = re.compile(r"\$\{(\w+)(?:(:?[-?])([^}]*))?\}")


def services(environment: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Return the services of every profile; a missing variable that must be set is a `KeyError`."""
    found: dict[str, dict[str, Any]] = put_in(yaml.load(FILE.read_text(), yaml.CSafeLoader)["services"], environment)
    return found


def put_in(value: Any, environment: Mapping[str, str]) -> Any:
    """Replace the variables in every text, however deep, by Compose's rules."""
    if isinstance(value, dict):
        return {name: put_in(one, environment) for name, one in value.items()}
    if isinstance(value, list):
        return [put_in(one, environment) for one in value]
    return VARIABLE.sub(lambda found: _value(found, environment), value) if isinstance(value, str) else value


def _value(found: re.Match[str], environment: Mapping[str, str]) -> str:
    name, operator, text = found.groups()
    given = environment.get(name, "")
    if operator == ":?" and not given:
        raise KeyError(f"{name}: {text}")
    return given or (text if operator in ("-", ":-") else "")


def example() -> dict[str, str]:
    """Return .env.example, name by name."""
    lines = [line for line in EXAMPLE.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def filled() -> dict[str, str]:
    """Return .env.example with a value for everything that has none."""
    urls = {"SIDECAR_INFLUX_URL": "http://influxdb:8086"}
    return {name: value or f"of-the-test-{name.lower()}" for name, value in example().items()} | urls


SERVICES = services(filled())


def published(service: str) -> dict[int, int]:
    """Return the ports that a service publishes on loopback, theirs by ours."""
    ports = [str(port).split(":") for port in SERVICES[service].get("ports", [])]
    assert all(len(port) == 3 and port[0] == "127.0.0.1" for port in ports), ports
    return {int(ours): int(theirs) for _, ours, theirs in ports}


def mounts(service: str) -> dict[str, str]:
    """Return what of this repository is mounted, by where."""
    found = [one for one in SERVICES[service].get("volumes", []) if isinstance(one, dict)]
    return {one["target"]: one["source"] for one in found if one["source"].startswith("./")}
