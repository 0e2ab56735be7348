"""What the sidecar is compared with: small programs, each of which says in its docstring what it is.

Each prints `ready` once it is connected, and `done` whenever it has taken as many events as it was told.
"""
