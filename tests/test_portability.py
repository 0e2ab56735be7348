"""POSIX systems without the features of Linux, simulated on Linux by removing them."""

import socket
import subprocess
import sys

import pytest

from tests.exposition.monitors import serving

LINUX_ONLY = ("TCP_KEEPIDLE", "TCP_USER_TIMEOUT", "TCP_DEFER_ACCEPT", "TCP_QUICKACK", "SO_PEERCRED")
CONNECT = """
import asyncio, importlib, pkgutil, socket
for name in {names}:
    delattr(socket, name)
import sidecar
for module in pkgutil.walk_packages(sidecar.__path__, "sidecar."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)

from sidecar.redis.link import KEEPALIVE, Link
from sidecar.redis.url import parse

async def main():
    server = await asyncio.start_server(lambda reader, writer: writer.write(b"+OK\\r\\n"), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    link = await Link.open(parse(f"redis://127.0.0.1:{{port}}"))
    await link.close()

asyncio.run(main())
print(sorted(KEEPALIVE.values()))
"""


def test_every_module_imports_and_redis_connects_without_the_socket_options_of_linux() -> None:
    command = [sys.executable, "-W", "error", "-c", CONNECT.format(names=LINUX_ONLY)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[2, 3]\n"


async def test_http_serves_without_the_socket_options_of_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "TCP_USER_TIMEOUT")
    async with serving() as served, served.client.get("/healthz") as response:
        assert response.status == 200
