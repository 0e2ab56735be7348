#!/usr/bin/env bash
# What one would guess: a Socket.IO server made with `http_compression=False` compresses nothing.
# Versions: python-socketio 5.18.1, python-engineio 4.15.1, aiohttp 3.14.5, websockets 17.4.
# What happens: the setting is for polling only. On aiohttp the WebSocket is made with aiohttp's
# default, so permessage-deflate is agreed with every client that offers it, as browsers and Node
# do. Python-engineio has no setting for it. Each such client costs a compressor and a decompressor
# of its own: 500 such clients cost 239 kB each, without it 32 kB (measured by hand).
# Seen on 2026-11-29: the lines under EXPECTED.
# What to do: take the header Sec-WebSocket-Extensions out of requests (a middleware or the proxy in
# front), or plan for a quarter of a megabyte for each client.
# Needs: python3 with venv.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check \
  python-socketio==5.18.1 python-engineio==4.15.1 aiohttp==3.14.5 websockets==17.4

cat >"$dir/EXPECTED" <<'END'
client offers deflate: permessage-deflate
client offers None: None
END

cat >"$dir/try.py" <<'END'
import asyncio

import socketio
from aiohttp import web
from websockets.asyncio.client import connect


async def main():
    app = web.Application()
    socketio.AsyncServer(async_mode="aiohttp", http_compression=False).attach(app)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"ws://127.0.0.1:{runner.addresses[0][1]}/socket.io/?EIO=4&transport=websocket"
    for compression in ("deflate", None):
        async with connect(url, proxy=None, compression=compression) as socket:
            print(f"client offers {compression}: {socket.response.headers.get('Sec-WebSocket-Extensions')}")
    await runner.cleanup()


asyncio.run(main())
END

"$dir/venv/bin/python" "$dir/try.py" "$dir" | tee "$dir/seen"
diff "$dir/EXPECTED" "$dir/seen" || { echo "CHANGED: the server agrees on another extension than on 2026-11-29" >&2; exit 1; }
