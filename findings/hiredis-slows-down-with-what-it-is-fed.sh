#!/usr/bin/env bash
# What one would guess: handing a parser more bytes at once costs the same or less for each message,
# so one reads from the socket in pieces as large as they come.
# Version: hiredis 3.5.0 (Python).
# What happens: the reader moves what is left of its buffer each time it has taken a little more
# than a kilobyte from it. The more it is fed at once, the more it moves for each message: fed with
# 1 MiB at a time a message costs several times what it costs fed with 16 KiB, and it grows without
# end (fed with everything at once the cost is quadratic).
# Seen on 2026-11-29, messages of 260 bytes: 233 ns fed 16 KiB at a time, 307 with 64 KiB, 604 with
# 256 KiB, 1,945 with 1 MiB. The script asks for a factor of 3 between the first and the last, as a
# busy machine moves the figures.
# What to do: cut what comes from the socket into slices of 16 KiB and empty the reader in between.
# Needs: python3 with venv.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check hiredis==3.5.0

cat >"$dir/EXPECTED" <<'END'
fed 1 MiB at a time, a message costs more than 3 times what it costs fed 16 KiB at a time
END

cat >"$dir/try.py" <<'END'
import sys
import time

import hiredis

MESSAGE = b"*3\r\n$7\r\nmessage\r\n$17\r\nflash_sale:events\r\n$210\r\n" + b"x" * 210 + b"\r\n"
DATA = MESSAGE * 20_000


def cost(piece):
    reader, count, start = hiredis.Reader(), 0, time.process_time()
    for at in range(0, len(DATA), piece):
        reader.feed(DATA[at : at + piece])
        while reader.gets() is not False:
            count += 1
    assert count == 20_000
    return (time.process_time() - start) / count


small, large = (min(cost(piece) for _ in range(3)) for piece in (1 << 14, 1 << 20))
print(f"{small * 1e9:.0f} ns and {large * 1e9:.0f} ns a message", file=sys.stderr)
compared = "more than 3 times" if large > 3 * small else f"{large / small:.1f} times"
print(f"fed 1 MiB at a time, a message costs {compared} what it costs fed 16 KiB at a time")
END

"$dir/venv/bin/python" "$dir/try.py" "$dir" | tee "$dir/seen"
diff "$dir/EXPECTED" "$dir/seen" || { echo "CHANGED: the cost of a message hardly depends on the piece any more" >&2; exit 1; }
