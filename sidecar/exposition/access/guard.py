"""Who may read and who may clear: tokens, users and certificates, the same for HTTP and the WebSocket.

Denied requests are counted, and logged at a bounded rate without the secrets that were sent.
"""

from collections.abc import Callable
from pathlib import Path
from ssl import SSLContext, SSLObject
from typing import Any, Literal

import structlog
from msgspec.structs import replace

from sidecar.config import HttpConfig, TlsConfig, read_web_file
from sidecar.exposition.access.passwords import Passwords, PasswordVerdict
from sidecar.exposition.access.rules import scheme, token_matches
from sidecar.exposition.access.tls import server_context
from sidecar.process.logs import RateLimit
from sidecar.process.telemetry import Telemetry

Server = Literal["http", "websocket"]
DenialReason = Literal["token", "host", "origin", "busy"]

# The answer to a wrong token is delayed, to a right one never: guessing locks nobody else out.
WRONG_SECONDS = 0.5
BEARER = 'Bearer realm="flash-sale-sidecar"'
BASIC = 'Basic realm="flash-sale-sidecar", charset="UTF-8"'
ADMIN_WANTED = "send `Authorization: Bearer <token>` with the token of http.admin_token"
SHOWN_CHARACTERS = 100  # of a header in the log


def preflight(methods: str) -> dict[str, str]:
    """Return the headers that answer a preflight of a page that may read."""
    return {
        "Access-Control-Allow-Methods": methods,
        "Access-Control-Allow-Headers": "Authorization, Content-Type",
        "Access-Control-Max-Age": "600",
    }


class Guard:
    """The rules in force. A right token always works, however many clients are guessing."""

    def __init__(self, http: HttpConfig, *, telemetry: Telemetry, clock: Callable[[], float]) -> None:
        """Read `http.web_config_file`; `clock` is monotonic, in seconds. Raises ConfigError."""
        web = read_web_file(http.web_config_file)
        self.http = http
        self.headers = web.headers
        self.tls = self._newest = server_context(web.tls) if web.tls else None
        if self.tls:
            self.tls.sni_callback = self._present
        self._rules = _rules(web.tls)
        self._passwords = Passwords(web.users)
        self._counter = telemetry.requests_refused
        self._limit = RateLimit()
        self._clock = clock
        self._log = structlog.get_logger("sidecar")

    def reload(self, http: HttpConfig) -> bool:
        """Apply new tokens, hosts, users, headers and certificates; False: other settings of TLS need a restart.

        Raises ConfigError without having changed anything.
        """
        web = read_web_file(http.web_config_file)
        context = server_context(web.tls) if web.tls else None
        same = _rules(web.tls) == self._rules
        if same:
            self._newest = context
        self.http, self.headers = http, web.headers
        self._passwords.replace(web.users)
        return same

    def _present(self, connection: SSLObject, name: str | None, context: SSLContext) -> None:
        """Use the newest context: in the listening one, certificate and key cannot be replaced in one step."""
        if self._newest is not None:
            connection.context = self._newest

    @property
    def open(self) -> bool:
        """Whether anybody may read."""
        return not self.http.read_token and not self._passwords

    @property
    def challenge(self) -> str:
        """The value of `WWW-Authenticate`."""
        return ", ".join([BEARER] * bool(self.http.read_token) + [BASIC] * bool(self._passwords))

    @property
    def wanted(self) -> str:
        """What a client must send to read, for messages."""
        token = ["`Authorization: Bearer <token>` with the token of http.read_token"] * bool(self.http.read_token)
        return "send " + ", or ".join(token + ["name and password (basic auth)"] * bool(self._passwords))

    async def reads(self, authorization: str | None, address: str) -> PasswordVerdict:
        """Return whether this header lets a client at `address` read."""
        if self.open or self.knows(authorization):
            return "right"
        if authorization and self._passwords and scheme(authorization) == "basic":
            return await self._passwords.check(authorization, address)
        return "wrong"

    def knows(self, authorization: str | None) -> bool:
        """Return whether this header has one of the tokens; both allow reading."""
        read = token_matches(self.http.read_token, authorization)
        admin = token_matches(self.http.admin_token, authorization)
        return read or admin

    def administers(self, authorization: str | None) -> bool:
        """Return whether this header allows to clear, and to start or stop a sale."""
        return token_matches(self.http.admin_token, authorization)

    def denied(self, server: Server, reason: DenialReason, address: str, **details: Any) -> None:
        """Count a denied request, and log one of a kind every 10 s."""
        self._counter.labels(server, reason).inc()
        suppressed = self._limit.allow(f"{server} {reason}", self._clock())
        if suppressed is not None:
            shown = {name: str(value)[:SHOWN_CHARACTERS] for name, value in details.items() if value is not None}
            self._log.warning(
                "request denied", server=server, reason=reason, address=address, **shown, suppressed=suppressed
            )


def _rules(tls: TlsConfig | None) -> tuple[TlsConfig, bytes] | None:
    """Return the settings of TLS that need a restart: all but certificate and key; with the content of the CA file."""
    if tls is None:
        return None
    authorities = Path(tls.client_ca_file).read_bytes() if tls.client_ca_file else b""
    return replace(tls, cert_file="", key_file=""), authorities
