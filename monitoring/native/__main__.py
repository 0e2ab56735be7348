"""Run the stack: python -m monitoring.native, or `make stack-native`."""

import argparse
import shutil
import signal
import sys
import tempfile
import threading
from pathlib import Path

from monitoring.native.layout import PACKAGES, ROOT, lay_out
from monitoring.native.ports import Ports, kept_free, taken
from monitoring.native.supervise import Stack

READY_SECONDS = 120.0  # a machine with ten times its work; a quiet one needs three


def main() -> int:
    """Run it until Ctrl-C or SIGTERM; 1 if it could not be started."""
    options = read_arguments()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    if options.folder:
        options.folder.mkdir(parents=True, exist_ok=True)
        return run(options.folder.resolve(), options, stop)
    with tempfile.TemporaryDirectory(prefix="flash-sale-") as folder:
        return run(Path(folder), options, stop)


def run(folder: Path, options: argparse.Namespace, stop: threading.Event) -> int:
    """Run it with its data in a folder."""
    ports = kept_free(folder) if options.free_ports else Ports()
    if trouble := missing_programs() or taken_ports(ports):
        print(trouble, file=sys.stderr)
        return 1
    stack = Stack(lay_out(folder, ports, options.files), folder / "log", say)
    try:
        if not stack.start(READY_SECONDS, stop.wait):
            return 0 if stop.is_set() else 1
        say(addresses(folder, ports))
        stack.keep(stop.wait)
    finally:
        stack.stop()
    return 0


def missing_programs() -> str:
    """Say how to install what is missing; nothing if all is there."""
    missing = sorted({package for program, package in PACKAGES.items() if not shutil.which(program)})
    return f"Not installed yet: apt-get install --no-install-recommends {' '.join(missing)}" if missing else ""


def taken_ports(ports: Ports) -> str:
    """Say which ports are taken; nothing if all are free."""
    found = ", ".join(map(str, taken(ports)))
    if not found:
        return ""
    return (
        f"Somebody listens on {found}. Debian starts these programs by itself: systemctl stop them. "
        "Or take other ports: .venv/bin/python -m monitoring.native --free-ports"
    )


def addresses(folder: Path, ports: Ports) -> str:
    """Say where everything is."""
    places = {
        "sidecar": f"http://127.0.0.1:{ports.http}",
        "websocket": f"ws://127.0.0.1:{ports.ws}",
        "prometheus": f"http://127.0.0.1:{ports.prometheus}",
        "alertmanager": f"http://127.0.0.1:{ports.alertmanager}",
        "redis-exporter": f"http://127.0.0.1:{ports.redis_exporter}",
        "node-exporter": f"http://127.0.0.1:{ports.node_exporter}",
        "redis-primary": f"127.0.0.1:{ports.primary}",
        "redis-replica": f"127.0.0.1:{ports.replica}",
        "sentinels": " ".join(f"127.0.0.1:{port}" for port in ports.sentinels),
        "passwords": f"{folder / 'passwords.env'}",
        "logs": f"{folder / 'log'}",
    }
    lines = [f"  {name:15} {place}" for name, place in places.items()]
    return "\n".join(["The stack runs:", *lines, "Ctrl-C stops it."])


def say(text: str) -> None:
    """Print, at once also into a pipe."""
    print(text, flush=True)


def read_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m monitoring.native", description="Run the stack without Docker.")
    parser.add_argument("--folder", type=Path, help="for data and logs, kept; a temporary one if not given")
    parser.add_argument("--free-ports", action="store_true", help="not the usual ports, but any that are free")
    parser.add_argument(
        "--files", type=Path, default=ROOT / "monitoring", help="a copy of monitoring/ with other settings"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
