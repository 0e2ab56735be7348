"""The address that a server listens on, and the error if it cannot."""

import errno
import re
import socket
from collections.abc import Mapping
from typing import Any

from sidecar.errors import ConfigError, SidecarError

_LISTEN = re.compile(r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<host>[^\s:\[\]/]*)):(?P<port>\d{1,5})\Z")
MAX_PORT = 65_535

WHY = {
    errno.EADDRINUSE: "is in use; choose another port, or stop what listens there",
    errno.EACCES: "needs a right this user lacks; choose a port above 1023",
    errno.EADDRNOTAVAIL: "is no address of this machine",
}


def parse_listen(listen: str, setting: str) -> tuple[str, int]:
    """Split `host:port` or `[ipv6]:port`. An empty host is every interface, port 0 any free port."""
    match = _LISTEN.match(listen)
    if match is None or int(match["port"]) > MAX_PORT:
        raise ConfigError(f"{setting}: {listen!r} is not host:port, for example 127.0.0.1:9850")
    return match["ipv6"] or match["host"], int(match["port"])


def where(host: str, port: int) -> Mapping[str, Any]:
    """Return the arguments of asyncio's `create_server`; `::` is every address of IPv6 and IPv4. Raises OSError."""
    if host != "::":
        return {"host": host or None, "port": port}
    if not socket.has_dualstack_ipv6():  # a kernel without IPv6, or with separate sockets for the two
        return {"host": None, "port": port}
    return {"sock": socket.create_server((host, port), family=socket.AF_INET6, dualstack_ipv6=True)}


def cannot_listen(listen: str, setting: str, exc: OSError) -> SidecarError:
    """Return the error that says why `listen` failed, and which setting to change."""
    reason = WHY.get(exc.errno or 0, f"cannot be listened on ({exc.strerror or exc})")
    return SidecarError(f"{setting}: {listen} {reason}")
