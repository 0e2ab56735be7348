"""Every exception of the sidecar, in one tree.

SidecarError
├── ConfigError            the configuration is wrong: exit 2, the message names the key and the fix
├── UnavailableError       Redis (or one of the daemon's own servers) cannot be reached now: wait and try again
│   └── CommandError       Redis answered the command with an error: no memory, read-only, no replicas, loading
├── AccessError            wrong password or missing right: a person must act, waiting does not help
└── CheckpointError        the stored state cannot be read

A class exists only where a caller treats it differently. Bad events raise nothing: they are counted.
"""


class SidecarError(Exception):
    """Root of the tree; its text is one line for people and says what to do next."""


class ConfigError(SidecarError):
    """A setting is wrong; the text names it and the fix."""


class UnavailableError(SidecarError):
    """Redis cannot be reached now; the caller retries."""


class CommandError(UnavailableError):
    """Redis rejected the command without applying it."""


class AccessError(SidecarError):
    """Redis denies this user; only a changed configuration or ACL helps."""


class CheckpointError(SidecarError):
    """The stored state cannot be read."""
