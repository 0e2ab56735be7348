"""What the benchmark ran on."""

import importlib.metadata
import os
import platform
import subprocess
import time
from pathlib import Path

from sidecar.store.embedded import find_server

PACKAGES = ("redis", "hiredis", "msgspec", "aiohttp", "websockets", "prometheus-client")


def describe() -> str:
    """Return date, processor, memory and versions in one paragraph."""
    date = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    load = os.getloadavg()[0]
    return (
        f"{date}; {os.cpu_count()} cores of {_processor()}, {memory:.0f} GB, load {load:.1f} at the start; "
        f"{platform.system()} {platform.release()}; Python {platform.python_version()}, {_redis()}, {versions}."
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _redis() -> str:
    said = subprocess.run([find_server(), "--version"], capture_output=True, text=True, check=True).stdout
    version = next((word.partition("=")[2] for word in said.split() if word.startswith("v=")), "of unknown version")
    return f"{'Valkey' if said.startswith('Valkey') else 'Redis'} {version}"
