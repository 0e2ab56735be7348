"""A real nginx in front of a server, configured with the lines of the docs."""

import asyncio
import re
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.ports import free_port
from tests.programs import missing
from tests.waiting import eventually

DOCS = Path(__file__).parents[1] / "docs" / "how-to" / "secure.md"
CONFIGURATION = """
daemon off; pid {folder}/pid; error_log stderr;
events {{ worker_connections {connections}; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{ listen 127.0.0.1:{port}; {location} }}
}}
"""


def location(port: int) -> str:
    """Return the location that the docs show, for a sidecar on this port."""
    block = re.search(r"```nginx\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert block is not None
    return block[1].replace("127.0.0.1:9850", f"127.0.0.1:{port}")


@asynccontextmanager
async def nginx(upstream: int, folder: Path, *, connections: int = 64) -> AsyncIterator[int]:
    """Run nginx before a sidecar on the port `upstream`; yield its port."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin") or missing("nginx is not installed")
    port = free_port()
    text = CONFIGURATION.format(folder=folder, port=port, location=location(upstream), connections=connections)
    (folder / "nginx.conf").write_text(text)
    process = await asyncio.create_subprocess_exec(
        program, "-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf")
    )
    try:
        await eventually(lambda: _listens(port), what="nginx")
        yield port
    finally:
        process.terminate()
        await process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
