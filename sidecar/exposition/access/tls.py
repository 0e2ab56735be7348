"""TLS of the sidecar's servers, by the web configuration file; ciphers and curves are the defaults of OpenSSL."""

import ssl
from typing import Any

from sidecar.config import TlsConfig
from sidecar.errors import ConfigError

VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
CLIENTS = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
# How long handshake and shutdown may take; asyncio would wait 60 s and 30 s.
HANDSHAKE_SECONDS = 5.0
SHUTDOWN_SECONDS = 1.0


def server_context(tls: TlsConfig) -> ssl.SSLContext:
    """Return a context with certificate and settings. Raises ConfigError that names an unusable file."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version, context.maximum_version = VERSIONS[tls.min_version], VERSIONS[tls.max_version]
    # Clients that renegotiate in a loop would use up a processor.
    context.options |= ssl.OP_NO_RENEGOTIATION
    try:
        # Without a password, OpenSSL would ask for that of an encrypted key on the terminal.
        context.load_cert_chain(tls.cert_file, tls.key_file, password="")
    except (OSError, ssl.SSLError, ValueError) as exc:
        files = f"certificate {tls.cert_file} with the key {tls.key_file}"
        raise ConfigError(
            f"cert_file: cannot use the {files} (both PEM, the key not encrypted): {_reason(exc)}"
        ) from exc
    if tls.client_ca_file:
        try:
            context.load_verify_locations(tls.client_ca_file)
        except (OSError, ssl.SSLError, ValueError) as exc:
            raise ConfigError(f"client_ca_file: cannot use {tls.client_ca_file}: {_reason(exc)}") from exc
    context.verify_mode = CLIENTS[tls.client_auth_type]
    return context


def listening(context: ssl.SSLContext | None) -> dict[str, Any]:
    """Return the arguments of asyncio's `create_server` for a context."""
    if context is None:
        return {}
    return {
        "ssl": context,
        "ssl_handshake_timeout": HANDSHAKE_SECONDS,
        "ssl_shutdown_timeout": SHUTDOWN_SECONDS,
    }


def _reason(exc: Exception) -> str:
    return str(getattr(exc, "reason", None) or getattr(exc, "strerror", None) or exc)
