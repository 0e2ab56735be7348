"""Why a daemon does not answer a command, and what to do: mostly it does not run, but TLS has failures of its own."""

import http.client
import os
import ssl
from collections.abc import Iterator

START = "start it with `sidecar run`, or read Redis with --redis-url or --config"


def advice(exc: BaseException, url: str) -> str:
    """Say what to do about an error that met a request to `url`."""
    tls = url.startswith("https://")
    other = f"http{'' if tls else 's'}{url[url.index(':') :]}"
    for cause in _causes(exc):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return _untrusted(cause)
        if tls and isinstance(cause, TimeoutError) and "handshake" in str(cause):
            return f"does it speak TLS there? Without TLS it is --url {other}"
        if isinstance(cause, ssl.SSLError):
            if "CERTIFICATE_REQUIRED" in str(cause).upper():
                return "it wants a certificate of its clients, and commands have none: use --redis-url or --config"
            return f"it does not speak TLS there: try --url {other}"
        if not tls and isinstance(cause, (http.client.BadStatusLine, ConnectionResetError)):
            return f"if it speaks TLS, try --url {other}; otherwise {START}"  # what is no TLS is hung up on
    return START


def _untrusted(exc: ssl.SSLCertVerificationError) -> str:
    if "mismatch" in exc.verify_message:
        return "let --url name it as its certificate does"
    if "expired" in exc.verify_message:
        return "renew its certificate"
    file = os.environ.get("SSL_CERT_FILE", "")
    if file and not os.access(file, os.R_OK):
        return f"SSL_CERT_FILE={file} cannot be read: let it name the authority of the certificate"
    return "trust the authority that signed its certificate, as with SSL_CERT_FILE=/path/ca.pem"


def _causes(exc: BaseException | None) -> Iterator[BaseException]:
    """Yield an error, what urllib wraps in it, and what led to it."""
    while exc is not None:
        yield exc
        reason = getattr(exc, "reason", None)
        exc = reason if isinstance(reason, BaseException) else exc.__cause__ or exc.__context__
