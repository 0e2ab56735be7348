"""Every exception of the sidecar, in one tree.

SidecarError
├── ConfigError            the configuration is wrong: exit 2, the message names the key and the fix
├── UnavailableError       Redis (or one of the daemon's own servers) cannot be reached now: wait and try again
│   └── RefusedError       Redis answered, and refused: no memory, read-only, no replicas, loading
├── AccessError            wrong password or missing right: waiting does not help, a person does
└── CheckpointError        the stored state cannot be read

A class exists only where a caller treats it differently. Bad events are no exceptions: they are counted.
"""


class SidecarError(Exception):
    """Root of the tree; its text is one line for a person and says what to do next."""


class ConfigError(SidecarError):
    """Say which setting is wrong and how to fix it."""


class UnavailableError(SidecarError):
    """Redis cannot be reached now; the caller tries again."""


class RefusedError(UnavailableError):
    """Redis answered, and refused the command without applying it."""


class AccessError(SidecarError):
    """Redis refuses this user; only a changed configuration or ACL helps."""


class CheckpointError(SidecarError):
    """The stored state cannot be read."""
