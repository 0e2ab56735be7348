#!/usr/bin/env bash
# What one would guess: a WebSocket client on the machine itself connects straight to 127.0.0.1;
# plain ws:// has nothing to do with HTTPS_PROXY; and ALL_PROXY covers what the others do not.
# Version: websockets 17.4.
# What happens: connect() takes the proxy of the environment without being asked, for 127.0.0.1 and
# localhost as well, and for ws:// it takes HTTPS_PROXY before HTTP_PROXY: the proxy is asked to
# CONNECT to its own loopback, and refuses or reaches another machine's port. ALL_PROXY is not
# looked at. aiohttp's client (not run here) looks at none unless trust_env is set.
# Seen on 2026-11-29: the lines under EXPECTED.
# What to do: pass `proxy=None` for addresses on the machine, or set NO_PROXY=127.0.0.1,localhost.
# Needs: python3 with venv.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check websockets==17.4

cat >"$dir/EXPECTED" <<'END'
HTTP_PROXY set, ws://127.0.0.1: HTTP_PROXY asked to CONNECT
HTTP_PROXY set, ws://localhost: HTTP_PROXY asked to CONNECT
HTTP_PROXY and HTTPS_PROXY set, ws://127.0.0.1: HTTPS_PROXY asked to CONNECT
HTTP_PROXY and HTTPS_PROXY set, ws://localhost: HTTPS_PROXY asked to CONNECT
ALL_PROXY set, ws://127.0.0.1: connected straight
ALL_PROXY set, ws://localhost: connected straight
END

cat >"$dir/try.py" <<'END'
import asyncio
import os

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import InvalidProxyStatus


async def proxy(name, asked):
    async def answer(reader, writer):
        asked.append(f"{name} asked to {(await reader.readline()).split()[0].decode()}")
        writer.write(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
        writer.close()

    listener = await asyncio.start_server(answer, "127.0.0.1", 0)
    return f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"


async def greet(socket):
    await socket.send("connected straight")


async def main():
    asked = []
    proxies = {name: await proxy(name, asked) for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")}
    async with serve(greet, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        for names in (["HTTP_PROXY"], ["HTTP_PROXY", "HTTPS_PROXY"], ["ALL_PROXY"]):
            for variable in list(os.environ):
                if variable.lower().endswith("_proxy"):
                    del os.environ[variable]
            os.environ.update({name: proxies[name] for name in names})
            for host in ("127.0.0.1", "localhost"):
                asked.clear()
                try:
                    async with connect(f"ws://{host}:{port}") as socket:
                        asked.append(await socket.recv())
                except InvalidProxyStatus:
                    pass
                print(f"{' and '.join(names)} set, ws://{host}: {asked[0]}")


asyncio.run(main())
END

"$dir/venv/bin/python" "$dir/try.py" "$dir" | tee "$dir/seen"
diff "$dir/EXPECTED" "$dir/seen" || { echo "CHANGED: the proxy variables are read otherwise than on 2026-11-29" >&2; exit 1; }
