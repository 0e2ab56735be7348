"""Rules of access by headers alone, the same for HTTP and the WebSocket.

Loopback proves nothing: a page in a browser reaches it by DNS rebinding (which only `Host` reveals) and by cross-site
requests (which only `Origin` and `Sec-Fetch-Site` reveal).
"""

import hmac
import re
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

# Anything else (user names, paths, spaces) is not a Host header.
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/@\[\]?#\\]+)(?::\d{1,5})?\Z")


def host_name(header: str) -> str | None:
    """Return the host of a `Host` header in lower case, without port, brackets and final dot; `None` if malformed."""
    match = _HOST.match(header)
    return match[1].strip("[]").rstrip(".").lower() if match else None


def host_allowed(header: str | None, bound_host: str, allowed: Sequence[str]) -> bool:
    """Return whether `Host` names this server, not a rebound domain.

    Allowed are loopback, the bound host, any IP literal if the bind is not loopback (a rebound name is never an IP),
    and what `allowed` lists (`name` or `name:port`).
    """
    host = host_name(header) if header else None
    if not host:
        return False
    if _is_loopback(host) or host == bound_host.strip("[]").lower():
        return True
    if {host, (header or "").lower()} & {name.lower() for name in allowed}:
        return True
    return _ip(host) is not None and not _is_loopback(bound_host.strip("[]").lower())


def scheme(authorization: str) -> str:
    """Return the scheme of `Authorization` in lower case, such as `bearer`."""
    return authorization.partition(" ")[0].lower()


def token_matches(expected: str, authorization: str | None) -> bool:
    """Return whether `Authorization` is `Bearer <expected>`, in constant time; an empty `expected` never matches."""
    token = (authorization or "").partition(" ")[2]
    same = hmac.compare_digest(_bytes(token.strip()), _bytes(expected))
    return same and scheme(authorization or "") == "bearer" and bool(expected)


def cross_site(headers: Mapping[str, str], origins: Sequence[str] = ()) -> bool:
    """Return whether a page of another site sends this.

    The same host on any port is the same site; `origins` (scheme://host:port) are allowed. Requests without these
    headers do not come from a browser.
    """
    origin = headers.get("Origin")
    if origin is not None and origin in origins:
        return False
    if headers.get("Sec-Fetch-Site", "none") == "cross-site":
        return True
    return origin is not None and not _same_host(origin, headers.get("Host", ""))


def _same_host(origin: str, host: str) -> bool:
    try:
        name = urlsplit(origin).hostname
    except ValueError:
        return False
    return name is not None and name == host_name(host)


def _is_loopback(host: str) -> bool:
    address = _ip(host)
    return host == "localhost" if address is None else address.is_loopback


def _ip(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _bytes(text: str) -> bytes:
    """Encode a header: aiohttp decodes invalid UTF-8 to surrogates."""
    return text.encode("utf-8", "surrogateescape")
