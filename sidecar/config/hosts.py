"""Hosts and origins in the configuration. They are compared literally with what a browser sends.

A spelling that no browser sends would never match, so it is an error, which gives the right spelling.
"""

import re
import urllib.parse
from collections.abc import Iterator

_PORTS = {"http": 80, "https": 443}
_NAME = re.compile(r"[a-z0-9_.-]+|\[[0-9a-f:.]+\]")  # a host name or IPv4, or an IPv6 in brackets, in lower case


def hosts(values: tuple[str, ...]) -> Iterator[str]:
    """Yield what is wrong with `http.allowed_hosts`: `NAME` or `NAME:PORT`."""
    for value in values:
        name, port = _without_port(value)
        if (right := _host(name)) is None:
            yield "must be host names, as in shop.example or shop.example:8443, without wildcards"
        elif right + port != value.lower():
            yield f'must be a host name as browsers send it: write "{right}{port}"'


def host_names(values: tuple[str, ...]) -> Iterator[str]:
    """Yield what is wrong with `ws.origins`: the host names of pages, without scheme and port."""
    for value in values:
        right = _host(_without_port(value)[0])
        if right is None:
            yield "must be the host names of pages, as in shop.example, without wildcards"
        elif right.strip("[]") != value.lower().strip("[]"):
            yield f'must be host names without scheme and port (all ports are allowed): write "{right}"'


def origins(values: tuple[str, ...]) -> Iterator[str]:
    """Yield what is wrong with `http.cors_origins`: `SCHEME://HOST[:PORT]`, without the default port of the scheme."""
    for value in values:
        if value == "null":  # the origin of pages that have none, such as files
            continue
        right = _origin(value)
        if right is None:
            yield "must be origins of pages, as in https://shop.example, without wildcards"
        elif right != value:
            yield f'must be origins as browsers send them: write "{right}"'


def _origin(text: str) -> str | None:
    try:
        parts = urllib.parse.urlsplit(text)
        port = parts.port
    except ValueError:
        return None
    name = _host(f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or "")
    if not parts.scheme or name is None:
        return None
    return f"{parts.scheme}://{name}" + ("" if port in (None, _PORTS.get(parts.scheme)) else f":{port}")


def _without_port(text: str) -> tuple[str, str]:
    """Split off `:PORT`, if there is one; of a URL only the host counts."""
    text = text.partition("://")[2].partition("/")[0] if "://" in text else text.rstrip("/")
    found = re.fullmatch(r"(.*?)(:\d{1,5})", text)
    if found is None or (":" in found[1] and not found[1].endswith("]")):
        return text, ""
    return found[1], found[2]


def _host(name: str) -> str | None:
    """Return a host name as browsers send it, `None` if it is none."""
    if ":" in name and not name.startswith("["):
        name = f"[{name}]"
    try:
        name = name.rstrip(".").encode("idna").decode() if not name.isascii() else name.rstrip(".")
    except UnicodeError:
        return None
    return name.lower() if _NAME.fullmatch(name.lower()) else None
