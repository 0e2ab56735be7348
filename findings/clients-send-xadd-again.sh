#!/usr/bin/env bash
# What one would guess: one call of xadd adds one entry, or fails.
# Versions: redis-py 8.1.0, ioredis 6.0.0, redis (Node) 6.3.1, with their defaults; Redis as on PATH.
# What happens: the connection breaks after Redis has run an XADD and before its answer arrives.
# redis-py and ioredis then send the XADD again on a new connection, without a word: the call
# succeeds, and the stream has two entries. node-redis fails the call, and the entry is there all
# the same.
# Seen on 2026-11-30: the lines under EXPECTED.
# What to do: number what you publish, and let the reader drop repeats (`producer`, `epoch`, `seq`).
# Retry(NoBackoff(), 0) of redis-py, and maxRetriesPerRequest: 0 of ioredis, only turn a silent
# repeat into an error after which nobody knows whether the entry is there.
# Needs: python3 with venv, node, npm, redis-server.
set -euo pipefail

dir=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check redis==8.1.0
npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$dir" \
  ioredis@6.0.0 redis@6.3.1
redis-server --port 0 --unixsocket "$dir/redis.sock" --save "" >/dev/null &

cat >"$dir/EXPECTED" <<'END'
redis-py: no error, 2 entries
redis-py asyncio: no error, 2 entries
ioredis: no error, 2 entries
node-redis: an error, 1 entries
END

# Listens on 127.0.0.1, and breaks the first connection that asks for XADD once Redis has answered.
cat >"$dir/proxy.py" <<'END'
import socket
import sys
import threading

path, file = sys.argv[1:]
broken = threading.Event()


def serve(client):
    server = socket.socket(socket.AF_UNIX)
    server.connect(path)
    threading.Thread(target=answers, args=(server, client), daemon=True).start()
    while data := client.recv(65536):
        if b"XADD" in data.upper() and not broken.is_set():
            broken.set()
            other = socket.socket(socket.AF_UNIX)
            other.connect(path)
            other.sendall(data)
            other.recv(65536)  # Redis has run it
            client.shutdown(socket.SHUT_RDWR)
            return
        server.sendall(data)


def answers(server, client):
    while data := server.recv(65536):
        client.sendall(data)


listener = socket.create_server(("127.0.0.1", 0))
with open(file, "w") as port:
    port.write(str(listener.getsockname()[1]))
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
END

cat >"$dir/sync.py" <<'END'
import sys
import redis

redis.Redis(port=int(sys.argv[1])).xadd("s", {"e": "1"})
END

cat >"$dir/aio.py" <<'END'
import asyncio
import sys
import redis.asyncio


async def main():
    async with redis.asyncio.Redis(port=int(sys.argv[1])) as client:
        await client.xadd("s", {"e": "1"})


asyncio.run(main())
END

cat >"$dir/ioredis.cjs" <<'END'
const { Redis } = require("ioredis");
const client = new Redis(Number(process.argv[2]));
client.on("error", () => {});
client.xadd("s", "*", "e", "1").then(() => process.exit(0), () => process.exit(1));
END

cat >"$dir/node-redis.cjs" <<'END'
const { createClient } = require("redis");
const client = createClient({ url: `redis://127.0.0.1:${process.argv[2]}` });
client.on("error", () => {});
client
  .connect()
  .then(() => client.xAdd("s", "*", { e: "1" }))
  .then(() => process.exit(0), () => process.exit(1));
END

try() {
  name=$1 file=$2
  shift 2
  redis-cli -s "$dir/redis.sock" DEL s >/dev/null
  rm -f "$dir/port"
  python3 "$dir/proxy.py" "$dir/redis.sock" "$dir/port" >/dev/null 2>&1 &
  proxy=$!
  until [ -s "$dir/port" ]; do sleep 0.1; done
  error="no error"
  timeout 20 "$@" "$dir/$file" "$(cat "$dir/port")" >/dev/null 2>&1 || error="an error"
  echo "$name: $error, $(redis-cli -s "$dir/redis.sock" XLEN s) entries"
  kill "$proxy"
}
until redis-cli -s "$dir/redis.sock" PING >/dev/null 2>&1; do sleep 0.1; done

{
  try redis-py sync.py "$dir/venv/bin/python"
  try "redis-py asyncio" aio.py "$dir/venv/bin/python"
  try ioredis ioredis.cjs node
  try node-redis node-redis.cjs node
} | tee "$dir/seen"
diff "$dir/EXPECTED" "$dir/seen" || { echo "CHANGED: another client sends XADD again than on 2026-11-30" >&2; exit 1; }
