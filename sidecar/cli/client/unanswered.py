"""Advice if a daemon does not answer: usually it is not running, but TLS has failures of its own."""

import http.client
import os
import ssl
from collections.abc import Iterator

START = "start it with `sidecar run`, or read Redis with --redis-url or --config"


def advice(exc: BaseException, url: str) -> str:
    """Return what to do about the error of a request to `url`."""
    tls = url.startswith("https://")
    other = f"http{'' if tls else 's'}{url[url.index(':') :]}"
    for cause in _causes(exc):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return _untrusted(cause)
        if tls and isinstance(cause, TimeoutError) and "handshake" in str(cause):
            return f"does it speak TLS there? Without TLS it is --url {other}"
        if isinstance(cause, ssl.SSLError):
            if "CERTIFICATE_REQUIRED" in str(cause).upper():
                return "it wants client certificates, and commands have none: use --redis-url or --config"
            return f"it does not speak TLS there: try --url {other}"
        if not tls and isinstance(cause, (http.client.BadStatusLine, ConnectionResetError)):
            return f"if it speaks TLS, try --url {other}; otherwise {START}"  # a TLS port hangs up on plain text
    return START


def _untrusted(exc: ssl.SSLCertVerificationError) -> str:
    if "mismatch" in exc.verify_message:
        return "use the host name of its certificate in --url"
    if "expired" in exc.verify_message:
        return "renew its certificate"
    file = os.environ.get("SSL_CERT_FILE", "")
    if file and not os.access(file, os.R_OK):
        return f"SSL_CERT_FILE={file} cannot be read: name the file of the authority that signed the certificate"
    return "trust the authority that signed its certificate, as with SSL_CERT_FILE=/path/ca.pem"


def _causes(exc: BaseException | None) -> Iterator[BaseException]:
    """Yield an error, the one that urllib wraps in it, and their causes."""
    while exc is not None:
        yield exc
        reason = getattr(exc, "reason", None)
        exc = reason if isinstance(reason, BaseException) else exc.__cause__ or exc.__context__
