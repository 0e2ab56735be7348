"""The web configuration file: TLS, users and headers of the sidecar's servers, in the format of Prometheus exporters.

Paths in it are relative to its folder, as for exporters. What is not supported is an error, never ignored: its author
relies on it. No message quotes the hash of a password.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import yaml
from msgspec import Struct

from sidecar.config.nearest import did_you_mean, nearest
from sidecar.config.structs import Secret
from sidecar.config.yaml_file import NULL, compose, location
from sidecar.errors import ConfigError

# The sections, and the keys each may have; users have any name.
SECTIONS: Mapping[str, tuple[str, ...] | None] = {
    "tls_server_config": (
        *("cert_file", "key_file", "client_auth_type", "client_ca_file", "min_version", "max_version"),
    ),
    "basic_auth_users": None,
    "http_server_config": ("headers",),
}
# Python's ssl does not offer the other two of Go, which ask for a certificate and do not check it.
CLIENT_AUTH_TYPES = ("NoClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert")
TLS_VERSIONS = ("TLS12", "TLS13")
# Those that exporters allow; others could break the servers.
HEADERS = (
    *("Content-Security-Policy", "Strict-Transport-Security"),
    *("X-Content-Type-Options", "X-Frame-Options", "X-XSS-Protection"),
)
BCRYPT = re.compile(r"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}")
# At 14 one login takes about a second of CPU; each step doubles that.
BCRYPT_COSTS = range(4, 15)

_Entries = dict[str, tuple[yaml.Node, str]]


class TlsConfig(Struct, frozen=True, kw_only=True):
    """The certificate, its key, and the rules for clients."""

    cert_file: str
    key_file: str
    client_auth_type: str = "NoClientCert"
    client_ca_file: str = ""
    min_version: str = "TLS12"
    max_version: str = "TLS13"


class WebConfig(Struct, frozen=True, kw_only=True):
    """The content of the file, empty without one. `users` are bcrypt hashes by name."""

    tls: TlsConfig | None = None
    users: Mapping[str, Secret] = {}
    headers: Mapping[str, str] = {}


def read_web_file(path: str) -> WebConfig:
    """Read and check the file, if there is a path. Raises `ConfigError` with file, line and fix."""
    if not path:
        return WebConfig()
    sections = _entries(compose(path, "the web configuration"), "", path, SECTIONS)
    found = {name: _entries(node, name, path, SECTIONS[name]) for name, (node, _) in sections.items()}
    headers = found.get("http_server_config", {}).get("headers")
    return WebConfig(
        tls=_tls(found["tls_server_config"], sections["tls_server_config"][1], path) if _has_tls(found) else None,
        users=_users(found.get("basic_auth_users", {})),
        headers=_headers(_entries(headers[0], "headers", path, HEADERS)) if headers else {},
    )


def _entries(node: yaml.Node | None, section: str, path: str, known: Iterable[str] | None) -> _Entries:
    """Return node and `path:line` of every key of a mapping; `known` lists the allowed keys, `None` allows all."""
    if node is None or node.tag == NULL:
        return {}
    under = f'"{section}"' if section else "the top level"
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError(f"{location(path, node)}: {under} consists of `name: value` lines")
    found: _Entries = {}
    for key, value in node.value:
        where = location(path, key)
        if not isinstance(key, yaml.ScalarNode):
            raise ConfigError(f"{where}: a name must be plain text")
        if known is not None and key.value not in known:
            guess = did_you_mean(nearest(key.value, known)) or f"; supported are {', '.join(known)}"
            raise ConfigError(f'{where}: unknown key "{key.value}" under {under}{guess}')
        if key.value in found:
            raise ConfigError(f'{where}: "{key.value}" is set twice, first at {found[key.value][1]}')
        found[key.value] = (value, where)
    return found


def _has_tls(found: Mapping[str, _Entries]) -> bool:
    return bool(found.get("tls_server_config"))


def _tls(entries: _Entries, where: str, path: str) -> TlsConfig:
    values = {name: _text(name, *entry) for name, entry in entries.items()}
    for name, allowed in (
        ("client_auth_type", CLIENT_AUTH_TYPES),
        ("min_version", TLS_VERSIONS),
        ("max_version", TLS_VERSIONS),
    ):
        if name in values and values[name] not in allowed:
            raise ConfigError(f"{entries[name][1]}: {name} must be one of {', '.join(allowed)}")
    for name in ("cert_file", "key_file"):
        if not values.get(name):
            raise ConfigError(f"{where}: tls_server_config needs cert_file and key_file; {name} is missing")
    files = {name: str(Path(path).parent / values[name]) for name in values if name.endswith("_file") and values[name]}
    tls = TlsConfig(**{**values, **files})
    if tls.min_version > tls.max_version:
        raise ConfigError(f"{where}: min_version is above max_version")
    if bool(tls.client_ca_file) != (tls.client_auth_type != "NoClientCert"):
        problem = "client_ca_file and a client_auth_type that verifies need each other: set both or neither"
        raise ConfigError(f"{where}: {problem}")
    return tls


def _users(entries: _Entries) -> dict[str, Secret]:
    users = {}
    for name, (node, where) in entries.items():
        if not name or ":" in name:
            raise ConfigError(f"{where}: the name of a user must not be empty and must not contain a colon")
        match = BCRYPT.fullmatch(_text(f"the password of {name}", node, where))
        if match is None:
            problem = "must be a bcrypt hash, as `htpasswd -nBC 10 NAME` prints it"
            raise ConfigError(f"{where}: the password of {name} {problem}")
        if int(match[1]) not in BCRYPT_COSTS:
            raise ConfigError(
                f"{where}: the hash of {name} must have a cost of {BCRYPT_COSTS[0]} to {BCRYPT_COSTS[-1]}: with more, "
                "one login takes seconds"
            )
        users[name] = Secret(match[0])
    return users


def _headers(entries: _Entries) -> dict[str, str]:
    headers = {}
    for name, (node, where) in entries.items():
        value = _text(name, node, where)
        if not value or not value.isascii() or not value.isprintable():
            raise ConfigError(f"{where}: {name} must be printable ASCII text")
        headers[name] = value
    return headers


def _text(name: str, node: yaml.Node, where: str) -> str:
    if not isinstance(node, yaml.ScalarNode):
        raise ConfigError(f"{where}: {name} must be a single value")
    return "" if node.tag == NULL else str(node.value)
