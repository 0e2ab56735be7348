"""Redis URLs: text in, a frozen RedisTarget out. No error quotes the URL, which may contain a password.

redis://[user:password@]host[:port][/db]            one server; rediss:// with TLS
unix://[user:password@]/path/to.sock[?db=1]         one server, by socket
redis+sentinel://[user:password@]h1,h2,h3/service[/db]   the master that the Sentinels name
redis+cluster://[user:password@]h1,h2[/db]          a Cluster, from any of its nodes; Valkey 9 has databases there
"""

from typing import Literal, NoReturn
from urllib.parse import parse_qsl, quote, unquote

import msgspec
from msgspec.structs import replace

from sidecar.errors import ConfigError

TargetKind = Literal["tcp", "unix", "sentinel", "cluster"]

# Scheme -> (kind, TLS). TLS with Sentinel or Cluster is spelled the way rediss:// spells it.
SCHEMES: dict[str, tuple[TargetKind, bool]] = {
    "redis": ("tcp", False),
    "rediss": ("tcp", True),
    "unix": ("unix", False),
    "redis+sentinel": ("sentinel", False),
    "rediss+sentinel": ("sentinel", True),
    "redis+cluster": ("cluster", False),
    "rediss+cluster": ("cluster", True),
}
CREDENTIALS = ("username", "password", "password_file")
REDIS_PORT = 6379
SENTINEL_PORT = 26379


class RedisTarget(msgspec.Struct, frozen=True, kw_only=True):
    """Where a Redis is. `addresses`: the server, the Sentinels or nodes of the Cluster; empty for a socket."""

    kind: TargetKind
    addresses: tuple[tuple[str, int], ...] = ()
    path: str = ""
    service: str = ""
    db: int = 0
    username: str = ""
    password: str = ""
    tls: bool = False
    # Settings beyond the URL. Files are read again at each connect: passwords and certificates are rotated.
    password_file: str = ""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    sentinel_username: str = ""
    sentinel_password: str = ""
    sentinel_password_file: str = ""
    # For messages: what the peer is, the prefix of its settings (`redis.` or `sources.redis_`), and the prefix of its
    # credentials (`sentinel_` if the Sentinels have their own).
    peer: Literal["Redis", "the Sentinel"] = "Redis"
    settings: str = "redis."
    login: str = ""

    def setting(self, name: str) -> str:
        """Return the full name of a setting of this Redis: `ca_file` is `redis.ca_file`."""
        return f"{self.settings}{self.login if name in CREDENTIALS else ''}{name}"

    def for_sentinels(self, *, as_user: bool = False) -> "RedisTarget":
        """Return the target for the Sentinels: with their own credentials, or `as_user` with those of Redis."""
        if as_user:
            return replace(self, db=0, peer="the Sentinel")
        return replace(
            self,
            db=0,
            peer="the Sentinel",
            username=self.sentinel_username,
            password=self.sentinel_password,
            password_file=self.sentinel_password_file,
            login="sentinel_",
        )

    @property
    def display(self) -> str:
        """The URL for logs and messages, without the password."""
        scheme = next(name for name, meaning in SCHEMES.items() if meaning == (self.kind, self.tls))
        user = f"{quote(self.username, safe='')}@" if self.username else ""
        if self.kind == "unix":
            return f"{scheme}://{user}{self.path}" + (f"?db={self.db}" if self.db else "")
        hosts = ",".join(join_host_port(host, port) for host, port in self.addresses)
        path = {"tcp": f"/{self.db}", "cluster": "", "sentinel": f"/{self.service}"}[self.kind]
        if self.kind != "tcp" and self.db:
            path += f"/{self.db}"
        return f"{scheme}://{user}{hosts}{path}"

    @property
    def place(self) -> str:
        """Where it is, for people: `127.0.0.1:6379, database 0`."""
        hosts = ", ".join(join_host_port(host, port) for host, port in self.addresses)
        place = {"tcp": hosts, "unix": self.path, "cluster": hosts, "sentinel": f"{self.service} by {hosts}"}[self.kind]
        return place if self.kind == "cluster" else f"{place}, database {self.db}"

    def __repr__(self) -> str:
        return f"RedisTarget({self.display!r})"


def parse(url: str, *, username: str = "", password: str = "", password_file: str = "") -> RedisTarget:
    """Read a URL; the arguments apply if it has no credentials. Raises `ConfigError`."""
    scheme, separator, rest = url.strip().partition("://")
    if not separator or scheme.lower() not in SCHEMES:
        _fail("must start with redis://, rediss://, unix://, redis+sentinel:// or redis+cluster://")
    kind, tls = SCHEMES[scheme.lower()]
    rest, _, query = rest.partition("?")
    authority, slash, path = rest.partition("/")
    userinfo, at, hosts = authority.rpartition("@")
    if at:
        user, _, secret = userinfo.partition(":")
        username, password, password_file = unquote(user), unquote(secret), ""
    if "@" in path:
        _fail("has an @ after the first /; in a password write / as %2F, ? as %3F and @ as %40")
    query_db = _query_db(query)
    if kind == "unix":
        if hosts or not path:
            _fail("must name an absolute path, as in unix:///run/redis/redis.sock")
        return RedisTarget(
            kind=kind,
            path=unquote(slash + path),
            db=query_db,
            username=username,
            password=password,
            password_file=password_file,
        )
    service, db = _path(kind, path.strip("/"), query_db)
    return RedisTarget(
        kind=kind,
        addresses=_addresses(kind, hosts),
        service=service,
        db=db,
        username=username,
        password=password,
        password_file=password_file,
        tls=tls,
    )


def split_host_port(text: str, default_port: int | None = None) -> tuple[str, int]:
    """Split `HOST:PORT` or `[IPv6]:PORT`. Raises `ValueError` that does not quote the text."""
    host, separator, port = text.rpartition(":")
    if text.startswith("["):
        host, bracket, tail = text[1:].partition("]")
        if not bracket or (tail and not tail.startswith(":")):
            raise ValueError("an IPv6 address is written [::1]:PORT")
        separator, port = tail[:1], tail[1:]
    elif ":" in host:
        raise ValueError("an IPv6 address is written in brackets, as in [::1]:PORT")
    elif not separator:
        host, port = text, ""
    if not separator and default_port is not None:
        return host, default_port
    if not (port.isascii() and port.isdigit() and int(port) <= 65535):
        raise ValueError("the port must be a number from 0 to 65535, as in HOST:PORT")
    return host, int(port)


def join_host_port(host: str, port: int) -> str:
    """Join host and port, IPv6 in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _addresses(kind: TargetKind, hosts: str) -> tuple[tuple[str, int], ...]:
    """Read the comma separated hosts."""
    default_port = SENTINEL_PORT if kind == "sentinel" else REDIS_PORT
    found = []
    for text in hosts.split(","):
        try:
            host, port = split_host_port(text.strip(), default_port)
        except ValueError as exc:
            _fail(f"has an address that cannot be read: {exc}")
        if port == 0:
            _fail("has port 0: name the port of the server")
        if kind == "tcp":
            host = host or "localhost"  # as redis-py and redis-cli read redis:///0
        if not host or any(character.isspace() for character in host):
            _fail("has an address without a host")
        found.append((host, port))
    if kind == "tcp" and len(found) > 1:
        _fail("names several hosts: use redis+sentinel:// or redis+cluster://")
    return tuple(found)


def _path(kind: TargetKind, path: str, query_db: int) -> tuple[str, int]:
    """Read service and database from what follows the hosts."""
    if kind == "sentinel":
        service, _, path = path.partition("/")
        if not service:
            _fail("must name the Sentinel service, as in redis+sentinel://host1,host2/mymaster")
        return unquote(service), _db(path) if path else query_db
    return "", _db(path) if path else query_db


def _query_db(query: str) -> int:
    """Return the database that `?db=` names; no other option is allowed."""
    options = dict(parse_qsl(query, keep_blank_values=True))
    if options.keys() - {"db"}:
        _fail("has an option after ? that is not db; in a password write ? as %3F")
    return _db(options["db"]) if options else 0


def _db(text: str) -> int:
    """Read a database number."""
    if not (text.isascii() and text.isdigit() and len(text) < 6):
        _fail("has a database that is not a number; in a password write / as %2F")
    return int(text)


def _fail(problem: str) -> NoReturn:
    raise ConfigError(f"redis.url {problem}")
