"""TLS of our servers, as the web configuration file asks for it; ciphers and curves are OpenSSL's own choice."""

import ssl
from asyncio.sslproto import SSLProtocol
from typing import Any

from sidecar.config import TlsConfig
from sidecar.errors import ConfigError

VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
CLIENTS = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
# What TLS sets aside for each connection to read into, whether it ever sends or not; a record has 16 KiB at most.
SSLProtocol.max_size = 16 * 1024
# How long a client may take to agree on a key, and to say goodbye; asyncio would wait 60 s and 30 s.
HANDSHAKE_SECONDS = 5.0
GOODBYE_SECONDS = 1.0


def server_context(tls: TlsConfig) -> ssl.SSLContext:
    """Return a context with certificate and rules. Raises ConfigError that names the file."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version, context.maximum_version = VERSIONS[tls.min_version], VERSIONS[tls.max_version]
    # A client that asks for a new key again and again would cost us a processor.
    context.options |= ssl.OP_NO_RENEGOTIATION
    try:
        # An encrypted key would be asked for on the terminal; nobody is there.
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
    """Return what asyncio's `create_server` takes for it."""
    if context is None:
        return {}
    return {
        "ssl": context,
        "ssl_handshake_timeout": HANDSHAKE_SECONDS,
        "ssl_shutdown_timeout": GOODBYE_SECONDS,
    }


def _reason(exc: Exception) -> str:
    return str(getattr(exc, "reason", None) or getattr(exc, "strerror", None) or exc)
