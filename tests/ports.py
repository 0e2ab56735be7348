"""Loopback ports for servers that a test starts."""

import itertools
import random
import socket

# Below the ports that Linux gives to those who ask for any: none of these is taken by a connection, or by a server on
# port 0, between the choice and the start of the server that it is for.
FIRST, END = 10_000, 32_768
BLOCK = 400


def _claim_block() -> range:
    """Claim ports for this process: no other one that runs tests on this machine, now or later, gets them.

    The claim is a Unix socket without a file, which the kernel removes when the process ends, however it ends.
    """
    blocks = range(FIRST, END - BLOCK + 1, BLOCK)
    for first in random.SystemRandom().sample(blocks, len(blocks)):
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0flash-sale-tests-{first}")
        except OSError:
            claim.close()
            continue
        claim.detach()  # open until the process ends
        return range(first, first + BLOCK)
    raise AssertionError(f"{len(blocks)} processes run tests here already")


_block = _claim_block()
_ports = itertools.cycle(_block)


def free_port() -> int:
    """Return a port that nobody listens on now, and that was not returned for long."""
    for port in itertools.islice(_ports, BLOCK):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError(f"all ports from {_block[0]} to {_block[-1]} are taken")


def listens(port: int) -> bool:
    """Tell whether somebody accepts connections there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
