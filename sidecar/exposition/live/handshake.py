"""Who may become a live client: by host, origin, number of clients, and token or password in the handshake."""

import asyncio
from base64 import urlsafe_b64decode
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from msgspec import Struct

from sidecar.config import WsConfig
from sidecar.exposition.access.guard import WRONG_SECONDS, DenialReason, Guard
from sidecar.exposition.access.rules import host_allowed, host_name

# Clients that have yet to authenticate; the rest of ws.max_clients is for those whose handshake has the token.
MAX_UNAUTHORIZED = 100


class Offer(Struct, frozen=True):
    """What a handshake carries, each header with all its values."""

    address: str
    hosts: list[str]
    origins: list[str]
    authorizations: list[str]
    protocols: list[str]

    @property
    def bearer(self) -> str | None:
        """The first subprotocol with a token: a browser drops a connection that echoes none of its subprotocols."""
        names = (name.strip() for value in self.protocols for name in value.split(","))
        return next((name for name in names if name.startswith("bearer.")), None)


class Denial(Struct, frozen=True):
    """The answer to a handshake that is denied."""

    status: int
    code: str
    text: str
    headers: dict[str, str] = {}


class Handshake:
    """Decides about every handshake of one listener."""

    def __init__(self, config: WsConfig, guard: Guard, *, host: str, taken: Callable[[], tuple[int, int]]) -> None:
        """`host` is the bound one; `taken` returns the number of clients, and of those yet to authenticate."""
        self._config = config
        self._guard = guard
        self._host = host
        self._taken = taken

    async def judge(self, offer: Offer) -> Denial | bool:
        """Return a denial, or whether the client is authorized.

        Limits are exact if nothing awaits until the client is counted.
        """
        denial = self.foreign(offer)
        if denial is not None:
            return denial
        verdict = await self._authorize(offer)
        if isinstance(verdict, Denial):
            return verdict
        return self._full(offer, authorized=verdict) or verdict

    def foreign(self, offer: Offer) -> Denial | None:
        """Return the denial of a handshake for another host, or from a page of another site."""
        host, origin = _only(offer.hosts), _only(offer.origins)
        if not host_allowed(host, self._host or "0.0.0.0", self._guard.http.allowed_hosts):
            text = f"Host {host!r} is not served here; see the setting http.allowed_hosts."
            return self._denied(offer, "host", Denial(421, "misdirected_request", text), host=host)
        if offer.origins and not origin_allowed(origin, host, self._config.origins):
            text = f"Origin {origin!r} may not connect; its host name can be added to the setting ws.origins."
            return self._denied(offer, "origin", Denial(403, "origin_not_allowed", text), origin=origin)
        return None

    async def _authorize(self, offer: Offer) -> Denial | bool:
        """Check token or password; deny a client that cannot authenticate later, by a token in a message."""
        carried = (_only(offer.authorizations), None if offer.bearer is None else f"Bearer {token(offer.bearer)}")
        verdicts = [await self._guard.reads(one, offer.address) for one in carried]
        if "right" in verdicts:
            return True
        if "busy" in verdicts:
            text = "Too many logins are being checked; try again in a second."
            return self._denied(offer, "busy", Denial(429, "too_many_attempts", text))
        if any(carried):
            self._guard.denied("websocket", "token", offer.address, sent="something wrong")
            await asyncio.sleep(WRONG_SECONDS)
        if self._guard.http.read_token:
            return False
        return Denial(401, "unauthorized", self._guard.wanted, {"WWW-Authenticate": self._guard.challenge})

    def _full(self, offer: Offer, *, authorized: bool) -> Denial | None:
        clients, unauthorized = self._taken()
        if clients >= self._config.max_clients:
            text = f"{clients} clients are connected; see ws.max_clients."
        elif unauthorized >= MAX_UNAUTHORIZED and not authorized:
            text = f"{unauthorized} clients have yet to authenticate; send the token with the handshake."
        else:
            return None
        return self._denied(offer, "busy", Denial(503, "too_many_clients", text))

    def _denied(self, offer: Offer, reason: DenialReason, denial: Denial, **details: str | None) -> Denial:
        self._guard.denied("websocket", reason, offer.address, **details)
        return denial


def origin_allowed(origin: str | None, host: str | None, origins: Sequence[str]) -> bool:
    """Return whether pages of this origin may connect: its host name is listed or, without a list, that of `Host`."""
    try:
        name = urlsplit(origin or "").hostname
    except ValueError:
        return False
    welcome = {listed.strip("[]").lower() for listed in origins} if origins else {host_name(host or "")}
    return name is not None and name in welcome


def token(subprotocol: str) -> str:
    """Return the token in `bearer.<base64url>`, with or without padding, which is illegal there."""
    encoded = subprotocol.removeprefix("bearer.")
    try:
        return urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
    except ValueError:
        return ""


def _only(values: list[str]) -> str | None:
    """Return a header, `None` if it is missing or repeated."""
    return values[0] if len(values) == 1 else None
