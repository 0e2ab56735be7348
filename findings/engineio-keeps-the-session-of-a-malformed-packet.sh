#!/usr/bin/env bash
# What one would guess: a Socket.IO server ends the session of a client that sends nonsense on its WebSocket.
# Versions: python-socketio 5.18.1, python-engineio 4.15.1, aiohttp 3.14.5.
# What happens: python-engineio decodes the packet outside its error handling. The exception leaves the handler: aiohttp
# logs a traceback and closes the connection, but the session and the task that writes to it stay, and `disconnect` is
# not called, until the ping times out (45 s with the defaults). So any client can fill the log with tracebacks, and
# whatever counts clients by `connect` and `disconnect` counts those that are gone.
# Seen on 2026-11-30: the lines under EXPECTED.
# What to do: wrap the WebSocket class of the driver (`server.eio._async["websocket"]`), and close the session there.
# Needs: python3 with venv.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check \
  python-socketio==5.18.1 python-engineio==4.15.1 aiohttp==3.14.5

cat >"$dir/EXPECTED" <<'END'
the connection is closed: True
sessions: 1, disconnects: 0
tracebacks in the log: 1
END

cat >"$dir/try.py" <<'END'
import asyncio
import logging

import socketio
from aiohttp import ClientSession, web

errors = []


class Kept(logging.Handler):
    def emit(self, record):
        errors.append(record)


async def main():
    logging.getLogger("aiohttp.server").addHandler(Kept())
    server, gone = socketio.AsyncServer(async_mode="aiohttp"), []
    server.on("connect", lambda sid, environ: None)
    server.on("disconnect", lambda sid, reason: gone.append(sid))
    app = web.Application()
    server.attach(app)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/socket.io/?EIO=4&transport=websocket"
    async with ClientSession() as session, session.ws_connect(url) as client:
        await client.send_str("40")
        for _ in range(2):
            await client.receive()
        await client.send_str("x")
        await client.receive(timeout=5)
        print("the connection is closed:", client.closed)
    await asyncio.sleep(3)
    print(f"sessions: {len(server.eio.sockets)}, disconnects: {len(gone)}")
    print("tracebacks in the log:", sum(record.exc_info is not None for record in errors))


asyncio.run(main())
END

"$dir/venv/bin/python" "$dir/try.py" | tee "$dir/seen"
diff "$dir/EXPECTED" "$dir/seen" || { echo "CHANGED: the session ends otherwise than on 2026-11-30" >&2; exit 1; }
