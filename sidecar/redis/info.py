"""What INFO reports about a server: its own name and version, and whether it takes writes. Only this module judges it.

Most servers like Redis report in `redis_version` the Redis that they resemble, and their own name elsewhere. Proxies
and managed servers may leave out fields: a missing field is never a fault.
"""

from collections.abc import Mapping

from msgspec import Struct

from sidecar.errors import UnavailableError

# The field of INFO that only this kind of server has -> its name.
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
    """A server; texts are empty if INFO lacks them. `resembles` is the version of Redis that it claims."""

    name: str = "Redis"
    version: str = ""
    resembles: str = ""
    role: str = ""
    sentinel: bool = False

    @property
    def display(self) -> str:
        """Return name and version, as in `Valkey 9.1.2`."""
        return f"{self.name} {self.version}".strip()

    @property
    def too_old(self) -> bool:
        """Return whether it is a Redis that is too old. Servers with other version numbers are tried instead."""
        numbers = self.version.split(".")[:2]
        if self.name != "Redis" or not all(part.isdigit() for part in numbers):
            return False
        return tuple(map(int, numbers)) < OLDEST_REDIS

    def refuse_replica(self) -> None:
        """Raise UnavailableError if it does not take writes.

        An `active-replica`, a KeyDB, takes them. A server without a role is assumed to: otherwise it would refuse.
        """
        if self.role in REPLICAS:
            raise UnavailableError(f"this {self.name} is a replica; waiting until a master answers here")
        if self.sentinel:
            raise UnavailableError("this is a Sentinel; let the URL start with redis+sentinel:// and name the service")


def read_info(info: Mapping[str, str]) -> ServerInfo:
    """Read the fields of INFO, from all sections or some."""
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
    """Recognise KeyDB by its own section, its program's name, or versions that Redis never had."""
    named = "keydb" in info.get("executable", "").lower() or "mvcc_depth" in info
    return named or info.get("redis_version", "").startswith("6.3.") or info.get("role") == "active-replica"
