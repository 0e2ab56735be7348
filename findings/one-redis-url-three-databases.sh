#!/usr/bin/env bash
# What one would guess: clients read `redis://host/NUMBER` alike, and refuse a path that is no
# number. No server is asked here: each client is only made to read its URL.
# Versions: redis-py 8.1.0, valkey-py 6.2.0, ioredis 6.0.0, redis (Node) 6.3.1.
# What happens: `redis://host/1/2` is database 12 for redis-py and valkey-py (they take the slashes
# out), database 1 for ioredis, an error for node-redis. `redis://host/orders` is database 0 without
# a word in Python, NaN in ioredis (which sends SELECT NaN), an error in node-redis. With `/1?db=3`
# Python takes 3 and ioredis and node-redis take 1. go-redis 9 (by hand) refuses the first two and
# takes 3.
# Seen on 2026-11-29: the lines under EXPECTED.
# What to do: write exactly one number after the host and no `db` parameter, and look with
# CLIENT LIST which database each process is in. Publisher and reader may otherwise both be content
# with databases of their own (pub/sub hides it, for it has no databases).
# Needs: python3 with venv, node and npm.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check redis==8.1.0 valkey==6.2.0
npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$dir" \
  ioredis@6.0.0 redis@6.3.1

cat >"$dir/EXPECTED" <<'END'
redis-py /1/2: 12
redis-py /orders: 0
redis-py /1?db=3: 3
valkey-py /1/2: 12
valkey-py /orders: 0
valkey-py /1?db=3: 3
ioredis /1/2: 1
ioredis /orders: NaN
ioredis /1?db=3: 1
node-redis /1/2: refused
node-redis /orders: refused
node-redis /1?db=3: 1
END

cat >"$dir/try.py" <<'END'
import redis
import valkey

for name, client in {"redis-py": redis.Redis, "valkey-py": valkey.Valkey}.items():
    for path in ("/1/2", "/orders", "/1?db=3"):
        options = client.from_url(f"redis://127.0.0.1:6379{path}").connection_pool.connection_kwargs
        print(f"{name} {path}: {options.get('db') or 0}")
END

cat >"$dir/try.cjs" <<'END'
const { Redis } = require("ioredis");
const { createClient } = require("redis");
const readers = {
  ioredis: (url) => new Redis(url, { lazyConnect: true }).options.db,
  "node-redis": (url) => createClient({ url }).options.database,
};
for (const [name, read] of Object.entries(readers))
  for (const path of ["/1/2", "/orders", "/1?db=3"]) {
    let database;
    try {
      database = read(`redis://127.0.0.1:6379${path}`);
    } catch {
      database = "refused";
    }
    console.log(`${name} ${path}: ${database}`);
  }
END

{ "$dir/venv/bin/python" "$dir/try.py"; node "$dir/try.cjs"; } | tee "$dir/seen"
diff "$dir/EXPECTED" "$dir/seen" || { echo "CHANGED: a URL is read otherwise than on 2026-11-29" >&2; exit 1; }
