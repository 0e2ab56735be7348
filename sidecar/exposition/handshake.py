"""What the headers of a WebSocket handshake say: origin, and the token where a browser can put one."""

from base64 import urlsafe_b64decode
from collections.abc import Sequence
from urllib.parse import urlsplit

from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.typing import Subprotocol

from sidecar.exposition.access import host_name


def origin_allowed(origin: str | None, host: str | None, origins: Sequence[str]) -> bool:
    """Tell whether pages of this origin may connect: its host name is listed or, without a list, that of `Host`."""
    try:
        name = urlsplit(origin or "").hostname
    except ValueError:
        return False
    welcome = {listed.strip("[]").lower() for listed in origins} if origins else {host_name(host or "")}
    return name is not None and name in welcome


def only(headers: Headers, name: str) -> str | None:
    """Return a header that came once."""
    values = headers.get_all(name)
    return values[0] if len(values) == 1 else None


def choose_bearer(connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """Echo the subprotocol that carries a token: a browser drops a connection that echoes none."""
    return next((name for name in offered if name.startswith("bearer.")), None)


def bearer(subprotocol: str | None) -> str:
    """Return the token in `bearer.<base64url>`; padding is optional, and is not a legal character there."""
    encoded = (subprotocol or "").removeprefix("bearer.")
    try:
        return urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
    except ValueError:
        return ""
