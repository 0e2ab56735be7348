"""TLS to Redis: trusted authorities and the client certificate. Files are read again at each connect."""

import ssl
from pathlib import Path

from sidecar.errors import AccessError
from sidecar.redis.url import RedisTarget

# What each file must contain, in PEM.
_CONTENT = {"ca_file": "CERTIFICATE", "cert_file": "CERTIFICATE", "key_file": "PRIVATE KEY"}


def client_context(target: RedisTarget) -> ssl.SSLContext:
    """Read the files that the target names. Raises AccessError that names the setting of an unusable file."""
    for name in _CONTENT:
        _check(target, name)  # OpenSSL names neither the file nor, usually, what is wrong with it
    try:
        context = ssl.create_default_context(cafile=target.ca_file or None)  # by default the system's
    except ssl.SSLError as exc:
        raise _no_use(target, "ca_file", str(exc)) from exc
    if target.cert_file:
        try:
            # Without this password OpenSSL would ask for one on the terminal.
            context.load_cert_chain(target.cert_file, target.key_file or None, password=lambda: "")
        except ssl.SSLError as exc:
            if "KEY_VALUES_MISMATCH" in str(exc) or not target.key_file:
                raise _no_use(
                    target,
                    "cert_file",
                    f"its key does not match or is missing; name it in {target.setting('key_file')}",
                ) from exc
            raise _no_use(
                target, "key_file", "the key is encrypted or damaged; decrypt it with `openssl pkey`"
            ) from exc
    return context


def _check(target: RedisTarget, name: str) -> None:
    """Raise AccessError if a file cannot be read, or is none of its kind."""
    if not (file := getattr(target, name)):
        return
    try:
        content = Path(file).read_text("latin-1")
    except (OSError, ValueError) as exc:
        raise _no_use(target, name, getattr(exc, "strerror", None) or str(exc)) from exc
    if f"{_CONTENT[name]}-----" not in content:
        raise _no_use(target, name, f"it has no {_CONTENT[name].lower()} in PEM")


def _no_use(target: RedisTarget, name: str, why: str) -> AccessError:
    return AccessError(f"{target.setting(name)}: {getattr(target, name)} cannot be used: {why}")
