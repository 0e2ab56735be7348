"""The files of the page, read once, with what a browser needs to know about each.

They hold no numbers, so they need no token: the page itself asks for it.
"""

from hashlib import blake2b
from importlib.resources import files
from types import MappingProxyType

from msgspec import Struct

FOLDER = "/page/"
INDEX = "index.html"
TYPES = MappingProxyType(
    {
        ".html": "text/html; charset=utf-8",
        ".css": "text/css; charset=utf-8",
        ".js": "text/javascript; charset=utf-8",
        ".svg": "image/svg+xml",
    }
)

# Older browsers do not take the WebSocket of the same host for 'self'.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'{sockets}; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)


class PageFile(Struct, frozen=True):
    """A file with its headers; `tag` is its strong `ETag`."""

    body: bytes
    content_type: str
    tag: str


def read_page() -> dict[str, PageFile]:
    """Return the files by path; the index is at `/`."""
    found = {}
    for file in files(__package__).joinpath("static").iterdir():
        suffix = "." + file.name.rpartition(".")[2]
        body = file.read_bytes()
        path = "/" if file.name == INDEX else FOLDER + file.name
        found[path] = PageFile(body, TYPES[suffix], f'"{blake2b(body, digest_size=8).hexdigest()}"')
    return found


def policy(host: str | None) -> str:
    """Return the Content-Security-Policy for a page of this `Host`, which must have been checked."""
    return POLICY.format(sockets=f" ws://{host} wss://{host}" if host else "")
