"""The address a server of ours listens on, and what to say when it cannot."""

import errno
import re

from sidecar.errors import ConfigError, SidecarError

_LISTEN = re.compile(r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<host>[^\s:\[\]/]*)):(?P<port>\d{1,5})\Z")
MAX_PORT = 65_535

WHY = {
    errno.EADDRINUSE: "is in use; choose another port, or stop what listens there",
    errno.EACCES: "needs a right this user lacks; choose a port above 1023",
    errno.EADDRNOTAVAIL: "is no address of this machine",
}


def parse_listen(listen: str, setting: str) -> tuple[str, int]:
    """Split `host:port` or `[ipv6]:port`; an empty host is every interface. Port 0: a free one is chosen."""
    match = _LISTEN.match(listen)
    if match is None or int(match["port"]) > MAX_PORT:
        raise ConfigError(f"{setting}: {listen!r} is not host:port, for example 127.0.0.1:9850")
    return match["ipv6"] or match["host"], int(match["port"])


def cannot_listen(listen: str, setting: str, exc: OSError) -> SidecarError:
    """Say why `listen` failed and which setting changes it."""
    reason = WHY.get(exc.errno or 0, f"cannot be listened on ({exc.strerror or exc})")
    return SidecarError(f"{setting}: {listen} {reason}")
