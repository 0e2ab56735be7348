"""A real black hole: the address of Redis is taken away, in a network namespace of this program alone.

`unshare --net python -m tests.e2e.campaign.black_hole FOLDER OUTAGES SEED` prints, for each outage, how long it
took until the daemon knew, and until all was well again once the address was back.
"""

import json
import random
import subprocess
import sys
import time
from pathlib import Path

from sidecar.store.embedded import find_server
from tests.e2e.daemon import Daemon
from tests.redis_server import QUIET, RedisServer
from tests.waiting import wait_until

ADDRESS = "10.0.0.1"
SETTINGS = "{commit_interval: 50ms, lease: 2s}"
# A packet to an address that is not there goes out on a device at whose other end nobody listens.
NETWORK = (
    "link set lo up",
    f"addr add {ADDRESS}/32 dev lo",
    "link add here type veth peer name nowhere",
    "link set here arp off up",
    "link set nowhere up",
    "route add default dev here",
)
PATIENCE_SECONDS = 20.0


def ip(command: str) -> None:
    """Run `ip`."""
    subprocess.run(["ip", *command.split()], check=True)


def outage(daemon: Daemon, pause: float) -> tuple[float, float]:
    """Take the address away and give it back; return both times, in seconds."""
    time.sleep(pause)
    ip(f"addr del {ADDRESS}/32 dev lo")
    began = time.monotonic()
    wait_until(daemon.has_lost_redis, PATIENCE_SECONDS, "the daemon to notice")
    noticed = time.monotonic() - began
    ip(f"addr add {ADDRESS}/32 dev lo")
    began = time.monotonic()
    wait_until(daemon.is_well, PATIENCE_SECONDS, "the daemon to be back")
    return noticed, time.monotonic() - began


def main(folder: str, outages: str, seed: str) -> None:
    """Run so many outages."""
    for command in NETWORK:
        ip(command)
    options = (*QUIET, "--bind", "127.0.0.1", ADDRESS, "--protected-mode", "no")  # nobody else is in this network
    server = RedisServer(find_server(), Path(folder) / "redis", *options).start()
    daemon = Daemon(Path(folder), f"redis://{ADDRESS}:{server.port}/0", settings=SETTINGS)
    pauses = random.Random(int(seed))
    try:
        daemon.start()
        print(json.dumps([outage(daemon, pauses.uniform(0, 1)) for _ in range(int(outages))]))
    finally:
        daemon.end()
        server.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
