"""Loopback ports for servers that a test starts."""

import itertools
import os
import random
import socket

# Below the ports that Linux gives to those who ask for any: none of these is taken by a connection, or by a server on
# port 0, between the choice and the start of the server that it is for.
FIRST, END = 10_000, 32_768
WORKERS = 16
_SLICE = (END - FIRST) // WORKERS
# Every worker of pytest-xdist has ports of its own. Where in them it begins is chance, for the sake of a second run.
_begin = FIRST + int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % WORKERS * _SLICE
_skipped = random.SystemRandom().randrange(_SLICE)
_ports = itertools.islice(itertools.cycle(range(_begin, _begin + _SLICE)), _skipped, None)


def free_port() -> int:
    """Return a port that nobody listens on now, and that was not returned for long."""
    for port in itertools.islice(_ports, _SLICE):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError(f"all ports from {_begin} to {_begin + _SLICE - 1} are taken")


def listens(port: int) -> bool:
    """Tell whether somebody accepts connections there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
