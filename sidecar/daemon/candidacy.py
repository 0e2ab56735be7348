"""The name of this process as an owner, and what it knows about other owners."""

import os
import secrets


class Candidacy:
    """When a standby may create the checkpoint, and which owner it knows to be dead."""

    def __init__(self, *, patience: float, lease: float) -> None:
        """`patience` is how long to wait if no owner was ever seen; both in seconds."""
        self._patience = patience
        self._lease = lease
        self._none_since: float | None = None
        self._seen = False
        self.dead = ""

    def owned(self) -> None:
        """Note that this process owns the state."""
        self._seen, self._none_since, self.dead = True, None, ""

    def may_create(self, now: float) -> bool:
        """Return whether there was no owner for long enough: for a lease, if one was ever seen."""
        return self._none_since is not None and now - self._none_since >= (
            self._lease if self._seen else self._patience
        )

    def saw(self, owner: str, now: float) -> None:
        """Note who owns the state, "" if nobody does."""
        if owner:
            self._seen, self._none_since = True, None
        elif self._none_since is None:
            self._none_since = now
        self.dead = owner if owner and is_dead(owner) else ""


def name() -> str:
    """Name this process: `machine:pid:random id`."""
    return f"{machine()}:{os.getpid()}:{random_id()}"


def random_id() -> str:
    """Return a new random id."""
    return secrets.token_hex(6)


def machine() -> str:
    """Identify where process ids are unique: this boot of this kernel, and the pid namespace of a container."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return f"{file.read(8)}-{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return "unknown"


def is_dead(owner: str) -> bool:
    """Return whether the owner was a process of this machine that has ended."""
    where, _, rest = owner.partition(":")
    if where == "unknown" or where != machine():
        return False
    try:
        os.kill(int(rest.partition(":")[0]), 0)
    except ProcessLookupError:
        return True
    except (ValueError, PermissionError):
        return False
    return False
