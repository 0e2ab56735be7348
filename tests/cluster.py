"""A Redis Cluster for tests: `with Cluster(folder) as cluster:` has three masters, each with a replica."""

from pathlib import Path
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.cluster import RedisCluster
from redis.retry import Retry

from sidecar.redis.slots import SLOTS, slot_of
from tests.ports import free_port
from tests.redis_server import QUIET, RedisServer, client_of, redis_program, redis_version
from tests.waiting import wait_until

MASTERS = 3
BUS_PORTS = 7  # the version of Redis that brought `cluster-port`


class Cluster:
    """Three masters with a replica each. A failover begins `timeout_ms` after a master is silent."""

    def __init__(self, folder: Path, *, timeout_ms: int = 1000, more: tuple[str, ...] = ()):
        """Prepare; `more` are options of the servers."""
        self.timeout_seconds = timeout_ms / 1000
        program = redis_program()
        if redis_version(program) < BUS_PORTS:
            pytest.skip("before Redis 7 the port of a node's bus cannot be chosen")
        options: tuple[str, ...] = ("--cluster-enabled", "yes", "--cluster-node-timeout", str(timeout_ms))
        options += ("--repl-diskless-sync-delay", "0", "--cluster-replica-validity-factor", "0")
        options += ("--repl-ping-replica-period", "1")  # CLUSTER SLOTS hides replicas that have received nothing yet
        self._buses = [free_port() for _ in range(2 * MASTERS)]  # by default the port plus 10,000, which may not exist
        self.nodes = [
            RedisServer(program, folder / f"node-{n}", *QUIET, *options, *more, "--cluster-port", str(bus))
            for n, bus in enumerate(self._buses)
        ]

    def __enter__(self) -> "Cluster":
        # Nodes that know each other from the start: to MEET and to vote would take ten seconds.
        for place, node in enumerate(self.nodes):
            node.folder.mkdir(parents=True, exist_ok=True)
            lines = [self._line(other, myself=other == place) for other in range(len(self.nodes))]
            lines.append(f"vars currentEpoch {len(self.nodes)} lastVoteEpoch 0\n")
            (node.folder / "nodes.conf").write_text("\n".join(lines))
            node.start()
        wait_until(self.is_whole, 20, "the Cluster")
        return self

    def _line(self, place: int, *, myself: bool) -> str:
        """Return what nodes.conf says of a node."""
        node, master = self.nodes[place], place % MASTERS
        role = "master -" if place == master else f"slave {_id(master)}"
        slots = f" {master * SLOTS // MASTERS}-{(master + 1) * SLOTS // MASTERS - 1}" if place == master else ""
        address = f"127.0.0.1:{node.port}@{self._buses[place]}"
        return f"{_id(place)} {address} {'myself,' if myself else ''}{role} 0 0 {master + 1} connected{slots}"

    def __exit__(self, *exception: object) -> None:
        for node in self.nodes:
            node.kill()

    def url(self, *nodes: RedisServer) -> str:
        """Return the URL that names some nodes, by default the masters of the beginning."""
        return f"redis+cluster://{','.join(f'127.0.0.1:{node.port}' for node in nodes or self.nodes[:MASTERS])}"

    def client(self) -> Any:
        """Return a client that follows the Cluster."""
        living = next(node for node in self.nodes if answers(node))
        return RedisCluster(host="127.0.0.1", port=living.port, socket_timeout=5, retry=Retry(NoBackoff(), 0))

    def owner(self, key: str) -> RedisServer:
        """Return the master of a key, as the majority of the nodes that answer sees it."""
        return wait_until(lambda: self._owner(key), 20, f"an owner of {key}")

    def masters(self) -> list[RedisServer]:
        """Return the masters that live, as one of the nodes sees them."""
        living = self._living()
        ports = {entry[2][1] for entry in self._slots(living[0])}
        return [node for node in living if node.port in ports]

    def is_whole(self) -> bool:
        """Tell whether every node sees every slot served, and every master with a replica in step."""
        return all(answers(node) and self._is_content(node) for node in self.nodes)

    def move(self, key: str, target: RedisServer) -> None:
        """Move the slot of a key, with its keys, to another master, the way `redis-cli --cluster reshard` does."""
        slot, source = slot_of(key), self.owner(key)
        source_id, target_id = (ask(node, "CLUSTER", "MYID").decode() for node in (source, target))
        ask(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", source_id)
        ask(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", target_id)
        while keys := ask(source, "CLUSTER", "GETKEYSINSLOT", slot, 100):
            ask(source, "MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "REPLACE", "KEYS", *keys)
        for node in (target, source):
            ask(node, "CLUSTER", "SETSLOT", slot, "NODE", target_id)

    def _owner(self, key: str) -> RedisServer | None:
        votes = [next(e[2][1] for e in self._slots(n) if e[0] <= slot_of(key) <= e[1]) for n in self._living()]
        most = max(set(votes), key=votes.count)
        return self._at(most) if votes.count(most) > len(votes) / 2 else None

    def _is_content(self, node: RedisServer) -> bool:
        entries = self._slots(node)
        return len(entries) >= MASTERS and all(len(e) > 3 for e in entries) and b"cluster_state:ok" in _info(node)

    def _living(self) -> list[RedisServer]:
        return [node for node in self.nodes if answers(node)]

    def _at(self, port: int) -> RedisServer:
        return next(node for node in self.nodes if node.port == port)

    def _slots(self, node: RedisServer) -> list[Any]:
        return list(ask(node, "CLUSTER", "SLOTS"))


def ask(node: RedisServer, *command: Any) -> Any:
    """Send one command to one node and return its raw reply."""
    with client_of(node.port) as client:
        client.response_callbacks.clear()
        return client.execute_command(*command)


def answers(node: RedisServer) -> bool:
    """Tell whether a node lives."""
    try:
        with client_of(node.port, patience=0.3) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


def _info(node: RedisServer) -> bytes:
    return bytes(ask(node, "CLUSTER", "INFO"))


def _id(place: int) -> str:
    return f"{place + 1:040x}"
