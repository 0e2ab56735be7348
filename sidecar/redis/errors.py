"""Exceptions of redis-py and the system -> those of the sidecar, which name the cause and the setting to change."""

import ssl
from collections.abc import Iterator

from redis import exceptions

from sidecar.errors import AccessError, CommandError, SidecarError, UnavailableError
from sidecar.redis.url import RedisTarget

LOST = (exceptions.ConnectionError, exceptions.TimeoutError, OSError, EOFError)
_ACCESS = (exceptions.AuthenticationError, exceptions.AuthorizationError, exceptions.NoPermissionError)
_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "UNEXPECTED_MESSAGE", "PACKET_LENGTH")
_NO_CERTIFICATE = ("CERTIFICATE_REQUIRED", "HANDSHAKE_FAILURE")
_SILENT = ("does not answer", "is closed", "was replaced", "no PONG")
# Advice by the error of a login, in the words of Redis, Valkey or redis-py.
_LOGIN = (
    (("NOPERM",), "give it the right in the server's ACL (config/redis-acl.conf)"),
    (("NOAUTH", "Authentication required"), "it wants a password: set {password_file} or {password}"),
    (("without any password",), "it has none: leave {password} empty, or give the server one (requirepass)"),
    (("",), "check {username} and {password} (or {password_file})"),
)
# Advice by the error of a command.
_ADVICE = (
    ("WRONGTYPE", "let the backend use another key, or name another stream in sources.streams"),
    ("maxmemory", "free memory there, or raise maxmemory"),
    ("MISCONF", "see the log of that Redis: it cannot save"),
    ("NOREPLICAS", "bring its replicas back, or lower min-replicas-to-write"),
    ("no permissions", "give this user the right in the server's ACL (config/redis-acl.conf)"),
)
# Why Redis rejects commits, by what its error contains: labels of a metric, so that an alert can name the reason.
_REASONS = (
    ("MISCONF", "disk"),
    ("maxmemory", "memory"),
    ("read only", "read_only"),
    ("READONLY", "read_only"),
    ("NOREPLICAS", "replicas"),
    ("no permissions", "access"),
    ("LOADING", "loading"),
    ("is loading", "loading"),
    ("", "other"),
)
COMMAND_ERROR_REASONS = tuple(sorted({reason for _, reason in _REASONS}))


def command_error_reason(exc: SidecarError) -> str:
    """Return one of `COMMAND_ERROR_REASONS` if Redis answered with an error, "" if it did not answer."""
    if isinstance(exc, AccessError):
        return "access"
    text = str(exc)
    return next(reason for sign, reason in _REASONS if sign in text) if isinstance(exc, CommandError) else ""


def advised(text: str) -> str:
    """Return the text of an error of a command, with advice if there is any."""
    text = text.rstrip(".")
    return next((f"{text}; {advice}" for sign, advice in _ADVICE if sign in text), text)


def translated(exc: BaseException, what: str, target: RedisTarget) -> Exception:
    """Return the sidecar's exception for any error of a connection to `what`."""
    text = str(exc).rstrip(".") or type(exc).__name__  # the advice follows a semicolon
    if isinstance(exc, _ACCESS) or text.startswith(("WRONGPASS", "NOAUTH", "NOPERM")):
        if isinstance(exc, exceptions.NoPermissionError):
            text = f"NOPERM {text.removeprefix('NOPERM ')}"
        advice = next(advice for signs, advice in _LOGIN if any(sign in text for sign in signs))
        names = {name: target.setting(name) for name in ("username", "password", "password_file")}
        advice = advice.format(**names)
        if target.peer == "the Sentinel" and not target.login:
            advice += f". If the Sentinels have a password of their own, set {target.setting('sentinel_password')}"
        return AccessError(f"{what} refuses this user: {text}; {advice}")
    if text.startswith("DENIED"):
        where = "in protected mode, which serves only its own machine"
        return CommandError(f"{what} is {where}: give it a password (requirepass), and {target.setting('password')}")
    if isinstance(exc, exceptions.BusyLoadingError) or (
        isinstance(exc, exceptions.ResponseError) and not isinstance(exc, LOST)
    ):
        return CommandError(f"{what}: {advised(text)}")
    return UnavailableError(f"{what} does not answer: {text}")


def reason(exc: SidecarError) -> str:
    """Return the cause of an outage, "" if the server just does not answer."""
    text = str(exc)
    silent = type(exc) is UnavailableError and any(sign in text for sign in _SILENT) and "; " not in text
    return "" if silent else text


def not_connected(exc: BaseException, what: str, target: RedisTarget) -> Exception:
    """Return the sidecar's exception for an error while connecting."""
    if isinstance(exc, (AccessError, UnavailableError)):
        return exc
    found = translated(exc, what, target)
    if any(sign in str(exc) for sign in ("SELECT", "DB index")):
        return CommandError(f"{found}; let {target.setting('url')} name a database that the server has, or none")
    if isinstance(found, (AccessError, CommandError)):
        return found
    advice = _tls_advice(exc, target) if target.tls else _plain_advice(exc, target)
    return UnavailableError(f"{found}; {advice}") if advice else found


def _tls_advice(exc: BaseException, target: RedisTarget) -> str:
    """Return advice for a failure of TLS."""
    url, ca_file = target.setting("url"), target.setting("ca_file")
    for cause in _causes(exc):
        if isinstance(cause, ssl.SSLCertVerificationError):
            if "mismatch" in cause.verify_message:
                return f"let {url} name the server as its certificate does"
            if "expired" in cause.verify_message or "not yet valid" in cause.verify_message:
                return "renew the certificate of the server, or set the clock of this machine"
            return f"name the authority that signed it in {ca_file}, or add it to those of the system (SSL_CERT_FILE)"
        if isinstance(cause, ssl.SSLError):
            reason = f"{cause.reason} {cause}".upper()
            if any(sign in reason for sign in _NO_TLS):
                return f"it does not speak TLS there: name its TLS port in {url}, or drop the s of its scheme"
            if any(sign in reason for sign in _NO_CERTIFICATE) and not target.cert_file:
                return _certificate_wanted(target)
            if "UNKNOWN_CA" in reason or "BAD_CERTIFICATE" in reason:
                return _another_certificate(target)
    if isinstance(exc, TimeoutError) or any(isinstance(cause, TimeoutError) for cause in _causes(exc)):
        return f"is this its TLS port? Without TLS {url} starts with redis:// or redis+"
    if any(isinstance(cause, ConnectionRefusedError) for cause in _causes(exc)):
        return ""
    if not target.cert_file:
        return _certificate_wanted(target)
    return _another_certificate(target) if _hung_up(exc) else ""


def _certificate_wanted(target: RedisTarget) -> str:
    names = f"{target.setting('cert_file')} and {target.setting('key_file')}"
    return f"if it wants a certificate of its clients (tls-auth-clients), set {names}"


def _another_certificate(target: RedisTarget) -> str:
    return f"it may not trust our certificate: let {target.setting('cert_file')} name one that its authority signed"


def _plain_advice(exc: BaseException, target: RedisTarget) -> str:
    """Return advice if the server hung up, as a TLS port does on plain text."""
    return f"if it speaks TLS, let {target.setting('url')} start with rediss://" if _hung_up(exc) else ""


def _hung_up(exc: BaseException) -> bool:
    ended = any(isinstance(cause, (EOFError, ConnectionResetError)) for cause in _causes(exc))
    return ended or "closed by server" in str(exc)


def _causes(exc: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception and its causes."""
    while exc is not None:
        yield exc
        exc = exc.__cause__ or exc.__context__
