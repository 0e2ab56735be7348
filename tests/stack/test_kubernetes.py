"""The manifests are valid, fit together, and keep to the restricted standard of pods."""

import re
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from monitoring.kubernetes import __main__ as rule
from sidecar.config.flat import schema, variable
from tests.cli.commands import execute
from tests.stack.alerting import MONITORING
from tests.stack.compose import SERVICES

FOLDER = MONITORING / "kubernetes"
FILES = sorted(FOLDER.glob("*.yml"))
MANIFESTS = [manifest for file in FILES for manifest in yaml.load_all(file.read_text(), yaml.CSafeLoader)]
CUSTOM = ("ServiceMonitor", "PrometheusRule")  # the Prometheus Operator's
OLDEST = "1.29"  # the first with native sidecars as a matter of course


def one(kind: str, name: str = "") -> dict[str, Any]:
    """Return the manifest of a kind, and of a name where there are several."""
    found = [each for each in MANIFESTS if each["kind"] == kind and name in ("", each["metadata"]["name"])]
    assert len(found) == 1, (kind, name, len(found))
    manifest: dict[str, Any] = found[0]
    return manifest


POD = one("Deployment")["spec"]["template"]
SIDECAR = POD["spec"]["initContainers"][0]
CONTAINERS = [SIDECAR, *POD["spec"]["containers"]]


@pytest.mark.parametrize("version", [OLDEST, kubernetes_validate.latest_version()])
@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda each: f"{each['kind']}-{each['metadata']['name']}")
def test_the_schemas_of_kubernetes_accept_the_manifests(manifest: dict[str, Any], version: str) -> None:
    if manifest["kind"] in CUSTOM:
        assert manifest["apiVersion"] == "monitoring.coreos.com/v1"
    else:
        kubernetes_validate.validate(manifest, version, strict=True)


def test_all_are_in_the_one_namespace() -> None:
    name = one("Namespace")["metadata"]["name"]
    assert {each["metadata"]["namespace"] for each in MANIFESTS if each["kind"] != "Namespace"} == {name}


def test_the_sidecar_is_a_native_one_that_starts_before_the_backend() -> None:
    assert SIDECAR["restartPolicy"] == "Always"
    assert SIDECAR["startupProbe"]["httpGet"]["path"] == "/readyz"
    assert SIDECAR["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert SIDECAR["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert {each["image"] for each in CONTAINERS} == {SERVICES[name]["image"] for name in ("sidecar", "backend")}


def test_containers_keep_to_the_restricted_standard_and_to_limits() -> None:
    """Which the namespace enforces."""
    assert one("Namespace")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert POD["spec"]["automountServiceAccountToken"] is False
    assert POD["spec"]["securityContext"]["runAsNonRoot"] is True
    assert POD["spec"]["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in CONTAINERS:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["runAsUser"] > 0
        assert container["resources"].keys() == {"requests", "limits"}
        assert container["resources"]["limits"].keys() == {"cpu", "memory"}


def test_names_of_ports_labels_and_keys_lead_somewhere() -> None:
    labels = POD["metadata"]["labels"].items()
    ports = {port["name"] for container in CONTAINERS for port in container["ports"]}
    for service in (each for each in MANIFESTS if each["kind"] == "Service"):
        assert service["spec"]["selector"].items() <= labels
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports
    monitored = one("Service", "flash-sale-sidecar")
    monitor = one("ServiceMonitor")["spec"]
    assert monitor["selector"]["matchLabels"].items() <= monitored["metadata"]["labels"].items()
    assert [each["port"] for each in monitor["endpoints"]] == ["metrics"]
    assert "metrics" in {port["name"] for port in monitored["spec"]["ports"]}
    policy = one("NetworkPolicy")["spec"]
    assert policy["podSelector"]["matchLabels"].items() <= labels
    named = {port["port"] for rule in policy["ingress"] for port in rule["ports"]}
    assert named <= ports
    assert policy["policyTypes"] == ["Ingress", "Egress"]


def test_every_secret_that_is_asked_for_is_in_the_example_and_empty_there() -> None:
    secrets = {each["metadata"]["name"]: each["stringData"] for each in MANIFESTS if each["kind"] == "Secret"}
    asked = [(entry["name"], entry["key"]) for entry in keys(MANIFESTS)]
    sources = POD["spec"]["volumes"][0]["projected"]["sources"]
    asked += [
        (each["secret"]["name"], item["key"])
        for each in sources
        if "secret" in each
        for item in each["secret"]["items"]
    ]
    assert sorted(set(asked)) == sorted((name, key) for name, values in secrets.items() for key in values)
    assert {value for values in secrets.values() for value in values.values()} == {""}


def keys(value: Any) -> list[dict[str, str]]:
    """Return every reference to a key of a secret, however deep."""
    if isinstance(value, list):
        return [found for each in value for found in keys(each)]
    if not isinstance(value, dict):
        return []
    mine = [value[name] for name in ("secretKeyRef", "credentials") if isinstance(value.get(name), dict)]
    return mine + [found for each in value.values() for found in keys(each)]


def test_the_sidecar_accepts_its_configuration(tmp_path: Path) -> None:
    """Mounted where its variables say, with the secrets where it says."""
    mount = SIDECAR["volumeMounts"][0]
    variables = {each["name"]: each.get("value") for each in SIDECAR["env"]}
    assert variables["SIDECAR_CONFIG"] == f"{mount['mountPath']}/sidecar.yml"
    assert set(variables) <= {variable(setting) for setting in schema()} | {"SIDECAR_CONFIG"}
    projected = next(each for each in POD["spec"]["volumes"] if each["name"] == mount["name"])["projected"]
    for source in projected["sources"]:
        for item in source.get("secret", {}).get("items", []):
            (file := tmp_path / item["path"]).parent.mkdir(exist_ok=True)
            file.write_text("of-the-test")
    text = one("ConfigMap")["data"]["sidecar.yml"]
    assert set(re.findall(r"/etc/flash-sale-sidecar/(\S+)", text)) == {"secrets/redis-password", "secrets/read-token"}
    (tmp_path / "sidecar.yml").write_text(text.replace("/etc/flash-sale-sidecar", str(tmp_path)))
    done = execute("check", "--offline", "--config", str(tmp_path / "sidecar.yml"))
    assert done.returncode == 0, done.stderr


def test_the_sidecar_is_scraped_as_elsewhere() -> None:
    """Under the job that the rules know, as often as in prometheus.yml."""
    endpoint = one("ServiceMonitor")["spec"]["endpoints"][0]
    config = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
    job = next(each for each in config["scrape_configs"] if each["job_name"] == "sidecar")
    assert (endpoint["interval"], endpoint["scrapeTimeout"]) == (job["scrape_interval"], job["scrape_timeout"])
    assert {"targetLabel": "job", "replacement": "sidecar"} in endpoint["relabelings"]


def test_the_rules_are_those_of_prometheus() -> None:
    """`make kubernetes` writes them anew."""
    assert rule.TARGET.read_text() == rule.build()
    groups = [
        group for path in sorted(rule.RULES.glob("*.yml")) for group in yaml.safe_load(path.read_text())["groups"]
    ]
    assert one("PrometheusRule")["spec"] == {"groups": groups}


def test_promtool_accepts_the_rules(promtool: str, tmp_path: Path) -> None:
    (file := tmp_path / "rules.yml").write_text(yaml.safe_dump(one("PrometheusRule")["spec"]))
    subprocess.run([promtool, "check", "rules", file], check=True, capture_output=True, timeout=60)
