"""What runs, with which files and environment: `lay_out` writes the files and returns the programs."""

import os
import re
import secrets
import sys
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field
from pathlib import Path

from monitoring.native.ports import Ports

ROOT = Path(__file__).parents[2]
# What is run -> the package of Debian that has it. `sidecar` is this Python's.
PACKAGES = {
    "redis-server": "redis-server",
    "redis-cli": "redis-tools",
    "prometheus": "prometheus",
    "prometheus-alertmanager": "prometheus-alertmanager",
    "prometheus-redis-exporter": "prometheus-redis-exporter",
    "prometheus-node-exporter": "prometheus-node-exporter",
}
USERS = ("SIDECAR", "PUBLISHER", "BACKEND", "REPLICA", "SENTINEL", "EXPORTER", "VIEWER", "ADMIN")
PASSWORDS = tuple(f"REDIS_{user}_PASSWORD" for user in USERS)


@dataclass(frozen=True)
class Program:
    """One program: what to run, where, with what in its environment, after whom, and how to see that it is ready."""

    name: str
    command: tuple[str, ...]
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    after: tuple[str, ...] = ()
    ready_url: str = ""
    ready_command: tuple[str, ...] = ()


def lay_out(folder: Path, ports: Ports, files: Path) -> list[Program]:
    """Write what the programs need into a folder and return them in the order to start them.

    `files` is monitoring/ of this repository, or a copy of it with other settings.
    """
    passwords = keep_passwords(folder / "passwords.env")
    servers = [_server(folder, ports, files, passwords, role) for role in ("primary", "replica")]
    sentinels = [_sentinel(folder, ports, files, passwords, number) for number in (1, 2, 3)]
    return [
        *servers,
        *sentinels,
        _redis_exporter(folder, ports, passwords),
        _node_exporter(folder, ports),
        _alertmanager(folder, ports, files),
        _prometheus(folder, ports, files),
        _sidecar(folder, ports, passwords),
    ]


def keep_passwords(file: Path) -> dict[str, str]:
    """Return a password for every user of Redis: those of the last time, else new ones, for their owner alone."""
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text("".join(f"{name}={secrets.token_hex(16)}\n" for name in PASSWORDS))
    return dict(line.split("=", 1) for line in file.read_text().splitlines())


def _redis(folder: Path, ports: Ports, files: Path, name: str, port: int) -> dict[str, str]:
    return {
        "NODE_HOST": "127.0.0.1",
        "NODE_PORT": str(port),
        "NODE_BIND": "127.0.0.1",
        "PRIMARY": f"127.0.0.1:{ports.primary}",
        "SENTINELS": " ".join(f"127.0.0.1:{one}" for one in ports.sentinels),
        "DATA": str(folder / name / "data"),
        "RUNTIME": str(folder / name / "run"),
        "SHARED_ACL": str(ROOT / "config" / "redis-acl.conf"),
        "STACK": str(files / "redis"),
    }


def _server(folder: Path, ports: Ports, files: Path, passwords: dict[str, str], role: str) -> Program:
    name, port = f"redis-{role}", ports.primary if role == "primary" else ports.replica
    start = ("/bin/sh", str(files / "redis" / "start.sh"))
    return Program(
        name=name,
        command=(*start, role),
        folder=_made(folder / name),
        environment={**_redis(folder, ports, files, name, port), "REDIS_MAXMEMORY": "256mb", **passwords},
        ready_command=(*start, "check"),
    )


def _sentinel(folder: Path, ports: Ports, files: Path, passwords: dict[str, str], number: int) -> Program:
    name = f"sentinel-{number}"
    start = ("/bin/sh", str(files / "redis" / "start.sh"))
    theirs = {name: passwords[name] for name in ("REDIS_ADMIN_PASSWORD", "REDIS_SENTINEL_PASSWORD")}
    return Program(
        name=name,
        command=(*start, "sentinel"),
        folder=_made(folder / name),
        environment={**_redis(folder, ports, files, name, ports.sentinels[number - 1]), **theirs},
        after=("redis-primary", "redis-replica"),
        ready_command=(*start, "check"),
    )


def _redis_exporter(folder: Path, ports: Ports, passwords: dict[str, str]) -> Program:
    return Program(
        name="redis-exporter",
        after=("redis-primary",),
        command=("prometheus-redis-exporter", f"-web.listen-address=127.0.0.1:{ports.redis_exporter}"),
        folder=folder,
        environment={
            "REDIS_ADDR": f"redis://127.0.0.1:{ports.primary}",
            "REDIS_USER": "exporter",
            "REDIS_PASSWORD": passwords["REDIS_EXPORTER_PASSWORD"],
        },
        ready_url=f"http://127.0.0.1:{ports.redis_exporter}/health",
    )


def _node_exporter(folder: Path, ports: Ports) -> Program:
    return Program(
        name="node-exporter",
        command=("prometheus-node-exporter", f"--web.listen-address=127.0.0.1:{ports.node_exporter}"),
        folder=folder,
        ready_url=f"http://127.0.0.1:{ports.node_exporter}/",
    )


def _alertmanager(folder: Path, ports: Ports, files: Path) -> Program:
    home = _linked(folder / "alertmanager", files, "alertmanager.yml", "templates", "secrets")
    return Program(
        name="alertmanager",
        command=(
            *("prometheus-alertmanager", "--config.file=alertmanager.yml", f"--storage.path={_made(home / 'data')}"),
            *(f"--web.listen-address=127.0.0.1:{ports.alertmanager}", "--cluster.listen-address="),
        ),
        folder=home,  # it looks for secrets/ from here
        ready_url=f"http://127.0.0.1:{ports.alertmanager}/-/ready",
    )


def _prometheus(folder: Path, ports: Ports, files: Path) -> Program:
    home = _linked(folder / "prometheus", files, "prometheus.yml", "rules", "secrets")
    targets = _made(home / "targets")
    moved = dict(zip(map(str, astuple(Ports())), map(str, astuple(ports)), strict=True))
    for file in (files / "targets" / "native").glob("*.yml"):
        text = re.sub(r"(?<=127\.0\.0\.1:)\d+", lambda port: moved[port[0]], file.read_text())
        (targets / file.name).write_text(text)
    return Program(
        name="prometheus",
        after=("alertmanager",),
        command=(
            *("prometheus", f"--config.file={home / 'prometheus.yml'}", f"--storage.tsdb.path={home / 'data'}"),
            *("--enable-feature=expand-external-labels", "--web.enable-lifecycle"),
            f"--web.listen-address=127.0.0.1:{ports.prometheus}",
        ),
        folder=home,
        environment={"SIDECAR_ENVIRONMENT": _environment()},
        ready_url=f"http://127.0.0.1:{ports.prometheus}/-/ready",
    )


def _sidecar(folder: Path, ports: Ports, passwords: dict[str, str]) -> Program:
    return Program(
        name="sidecar",
        after=("sentinel-1", "sentinel-2", "sentinel-3"),
        command=(sys.executable, "-m", "sidecar", "run"),
        folder=ROOT,
        environment={
            "SIDECAR_REDIS_URL": f"redis+sentinel://{','.join(f'127.0.0.1:{one}' for one in ports.sentinels)}/sale",
            "SIDECAR_REDIS_USERNAME": "flash-sale-sidecar",
            "SIDECAR_REDIS_PASSWORD": passwords["REDIS_SIDECAR_PASSWORD"],
            "SIDECAR_HTTP_LISTEN": f"127.0.0.1:{ports.http}",
            "SIDECAR_WS_LISTEN": f"127.0.0.1:{ports.ws}",
            "SIDECAR_ENVIRONMENT": _environment(),
        },
        ready_url=f"http://127.0.0.1:{ports.http}/readyz",
    )


def _environment() -> str:
    return os.environ.get("SIDECAR_ENVIRONMENT", "development")


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _linked(folder: Path, files: Path, *names: str) -> Path:
    """Make a folder with links to these files, as compose mounts them; a second time they are there already."""
    _made(folder)
    for name in names:
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(files.resolve() / name)
    return folder
