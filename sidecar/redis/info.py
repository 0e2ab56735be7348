"""What INFO says about a server: its name and version, and whether it takes writes. No other module interprets it.

Most compatible servers put the Redis version that they emulate in `redis_version`, and their own elsewhere. Proxies and
managed servers may leave out fields: a missing field is never an error.
"""

from collections.abc import Mapping

from msgspec import Struct

from sidecar.errors import UnavailableError

# INFO field that only this kind of server has -> its name.
OWN_VERSIONS = {
    "valkey_version": "Valkey",
    "dragonfly_version": "Dragonfly",
    "kvrocks_version": "Kvrocks",
    "garnet_version": "Garnet",
    "redict_version": "Redict",
    "keydb_version": "KeyDB",
}
OLDEST_REDIS = (6, 2)
REPLICAS = ("slave", "replica")


class ServerInfo(Struct, frozen=True):
    """A server; texts are empty if INFO lacks them. `resembles` is the version of Redis that it emulates."""

    name: str = "Redis"
    version: str = ""
    resembles: str = ""
    role: str = ""
    sentinel: bool = False

    @property
    def display(self) -> str:
        """Name and version, as in `Valkey 9.1.2`."""
        return f"{self.name} {self.version}".strip()

    @property
    def too_old(self) -> bool:
        """Whether it is a Redis that is too old. Other servers have version numbers of their own: they are tried."""
        numbers = self.version.split(".")[:2]
        if self.name != "Redis" or not all(part.isdigit() for part in numbers):
            return False
        return tuple(map(int, numbers)) < OLDEST_REDIS

    def require_primary(self) -> None:
        """Raise UnavailableError for a replica or a Sentinel.

        An `active-replica` of KeyDB takes writes. A server that reports no role is assumed to.
        """
        if self.role in REPLICAS:
            raise UnavailableError(f"this {self.name} is a replica; waiting until a master answers here")
        if self.sentinel:
            raise UnavailableError("this is a Sentinel; let the URL start with redis+sentinel:// and name the service")


def read_info(info: Mapping[str, str]) -> ServerInfo:
    """Read the fields of INFO, of all sections or some."""
    resembles = info.get("redis_version", "")
    name, version = "Redis", resembles
    for field, kind in OWN_VERSIONS.items():
        if field in info:
            name, version = kind, info[field].removeprefix("df-").removeprefix("v")
    if name == "Redis" and _is_keydb(info):
        name = "KeyDB"
    return ServerInfo(
        name=name,
        version=version,
        resembles=resembles,
        role=info.get("role", ""),
        sentinel="sentinel" in (info.get("redis_mode"), info.get("server_mode")),
    )


def _is_keydb(info: Mapping[str, str]) -> bool:
    """Recognise KeyDB by its own section, the name of its program, or versions that Redis never had."""
    named = "keydb" in info.get("executable", "").lower() or "mvcc_depth" in info
    return named or info.get("redis_version", "").startswith("6.3.") or info.get("role") == "active-replica"
