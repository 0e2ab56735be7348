"""A master, its replicas and the Sentinels that watch them, for tests: `with Sentinels(folder) as them:`."""

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import redis

from tests.ports import free_port
from tests.redis_server import QUIET, RedisServer, client_of, redis_program
from tests.waiting import wait_until

SERVICE = "sale"


class Sentinels:
    """One master, `replicas` replicas, three Sentinels. A failover begins `down_after_ms` after a master is silent."""

    def __init__(self, folder: Path, *, replicas: int = 1, down_after_ms: int = 500, options: tuple[str, ...] = ()):
        """Prepare; `options` are those of the servers, beside `QUIET`."""
        self.down_after_seconds = down_after_ms / 1000
        self._folder = folder
        self._ports = [free_port() for _ in range(3)]
        self._processes: list[subprocess.Popen[bytes]] = []
        program = redis_program()
        # Half a second instead of five until a replica that came back is attached; no wait for more of them.
        quick: tuple[str, ...] = ("--repl-diskless-sync-delay", "0", "--repl-timeout", "5")
        # Replicas have a user of their own, so that a test can cut them off.
        quick += ("--user", "replica", "on", ">replica", "+psync", "+replconf", "+ping")
        quick += ("--masteruser", "replica", "--masterauth", "replica")
        self.servers = [
            RedisServer(program, folder / f"server-{n}", *QUIET, *quick, *options) for n in range(1 + replicas)
        ]

    @property
    def url(self) -> str:
        """The URL to connect to."""
        return f"redis+sentinel://{','.join(f'127.0.0.1:{port}' for port in self._ports)}/{SERVICE}"

    def __enter__(self) -> "Sentinels":
        first, *others = self.servers
        first.start()
        for server in others:
            server.start()
            self.client(server).replicaof("127.0.0.1", first.port)
        for port in self._ports:
            self._watch(port, first)
        wait_until(self._is_whole, 20, "the Sentinels and replicas to know each other")
        return self

    def __exit__(self, *exception: object) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
        for server in self.servers:
            server.kill()

    def client(self, server: RedisServer | None = None) -> Any:
        """Return a client of a server, by default of the master."""
        return client_of((server or self.master()).port)

    def sentinel(self, place: int = 0) -> Any:
        """Return a client of a Sentinel."""
        return client_of(self._ports[place])

    def master(self) -> RedisServer:
        """Return the server that the Sentinels agree to be the master; wait while they do not."""
        return wait_until(self._master, 30, "the Sentinels to agree")

    def failed_over(self, former: RedisServer) -> bool:
        """Tell whether another one is the master now, and says so itself."""
        now = self._master()
        return now is not None and now is not former and self._facts(now).get("role") == "master"

    def failover(self) -> None:
        """Ask for a failover to a replica, by name."""
        former = self.master()
        wait_until(self._accepts_failover, 30, "a Sentinel to accept it")
        wait_until(lambda: self.failed_over(former), 30, "the failover")

    def _accepts_failover(self) -> bool:
        """Ask for a failover; refused while one is under way, or the replica was not looked at again yet."""
        try:
            self.sentinel().execute_command("SENTINEL", "FAILOVER", SERVICE)
        except redis.ResponseError:
            return False
        return True

    def freeze_sentinel(self, place: int) -> None:
        """Stop a Sentinel in its tracks."""
        os.kill(self._processes[place].pid, signal.SIGSTOP)

    def cut_replication(self) -> None:
        """Let no replica hear anything more from the master: what is written from now on dies with it."""
        with self.client() as client:
            client.acl_setuser("replica", enabled=False)
            client.execute_command("CLIENT", "KILL", "TYPE", "replica")

    def restore(self) -> None:
        """Bring back whatever was killed, frozen or cut off, and wait until every replica is in step."""
        master = self.master()
        for server in self.servers:
            if server.is_running:
                server.thaw()
            else:
                server.start()
                self.client(server).replicaof("127.0.0.1", master.port)  # Sentinel would do it 10 s later
            self.client(server).acl_setuser("replica", enabled=True)
        wait_until(self._are_in_step, 60, "all replicas to be in step")

    def _are_in_step(self) -> bool:
        master = self._master()
        return master is not None and all(self._in_step(server) for server in self.servers if server is not master)

    def _watch(self, port: int, master: RedisServer) -> None:
        settings = self._folder / f"sentinel-{port}.conf"
        settings.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {self._folder}\nlogfile sentinel-{port}.log\n"
            f"sentinel monitor {SERVICE} 127.0.0.1 {master.port} 2\n"
            f"sentinel down-after-milliseconds {SERVICE} {round(self.down_after_seconds * 1000)}\n"
            f"sentinel failover-timeout {SERVICE} 3000\nsentinel parallel-syncs {SERVICE} 5\n"
        )
        command = [redis_program(), str(settings), "--sentinel"]
        self._processes.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))

    def _is_whole(self) -> bool:
        for place in range(3):
            facts = self._known(place)
            known = (facts.get("num-other-sentinels"), facts.get("num-slaves"), facts.get("flags"))
            if known != ("2", str(len(self.servers) - 1), "master"):
                return False
        return all(self._in_step(server) for server in self.servers[1:])

    def _known(self, place: int) -> dict[str, str]:
        """Return what a Sentinel knows of the service; nothing if it does not answer."""
        try:
            flat: Any = self.sentinel(place).execute_command("SENTINEL", "MASTER", SERVICE)
        except redis.RedisError:
            return {}
        if isinstance(flat, dict):
            return {_text(name): _text(value) for name, value in flat.items()}
        return {_text(name): _text(value) for name, value in zip(flat[::2], flat[1::2], strict=True)}

    def _master(self) -> RedisServer | None:
        ports = {port for place in range(3) if (port := self._known(place).get("port"))}
        if len(ports) != 1:
            return None
        return next(server for server in self.servers if str(server.port) in ports)

    def _in_step(self, server: RedisServer) -> bool:
        facts, master = self._facts(server), self._master()
        linked = facts.get("role") == "slave" and facts.get("master_link_status") == "up"
        return linked and master is not None and facts.get("master_port") == master.port

    def _facts(self, server: RedisServer) -> dict[str, Any]:
        try:
            with client_of(server.port, patience=0.3) as client:
                return dict(client.info("replication"))
        except redis.RedisError:
            return {}


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
