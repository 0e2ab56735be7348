"""On which ports of loopback everything listens."""

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, astuple, dataclass, fields
from pathlib import Path


@dataclass(frozen=True)
class Ports:
    """Those that docker-compose.yml publishes, and others for what it does not publish."""

    primary: int = 6379
    replica: int = 6380
    sentinel_1: int = 26379
    sentinel_2: int = 26380
    sentinel_3: int = 26381
    http: int = 9850
    ws: int = 9851
    redis_exporter: int = 9121
    node_exporter: int = 9100
    prometheus: int = 9090
    alertmanager: int = 9093

    @property
    def sentinels(self) -> tuple[int, int, int]:
        """Those of the three Sentinels."""
        return self.sentinel_1, self.sentinel_2, self.sentinel_3


def free() -> Ports:
    """Return ports that nobody listens on now."""
    with ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in fields(Ports)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return Ports(*(probe.getsockname()[1] for probe in probes))


def kept_free(folder: Path) -> Ports:
    """Return free ports, and for a folder the same ones each time: its servers know each other by them."""
    file = folder / "ports.json"
    if not file.exists():
        file.write_text(json.dumps(asdict(free())))
    return Ports(**json.loads(file.read_text()))


def taken(ports: Ports) -> Iterator[int]:
    """Yield the ports that somebody listens on."""
    for port in astuple(ports):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                yield port
