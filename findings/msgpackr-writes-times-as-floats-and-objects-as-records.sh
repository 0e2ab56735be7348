#!/usr/bin/env bash
# What one would guess: the MessagePack libraries of npm write the same bytes for the same plain
# object: a time in milliseconds as an integer, an undefined value as nil or not at all, an object
# as a map. Any MessagePack library reads them.
# Versions: msgpackr 2.1.4, @msgpack/msgpack 3.1.3, notepack.io 3.0.1, msgpack-lite 0.2.2 (npm),
# read back with msgpack 1.2.4 (PyPI).
# What happens: integers that need more than 32 bits, such as Date.now(), leave msgpackr and
# msgpack-lite as 64-bit floats, and reach Python as 1764460800000.0. undefined leaves msgpackr as
# an extension of type 0. And an instance of msgpackr's Packr writes objects as records of its own
# by default: extension 0x72, then the names, then the values, which other libraries refuse
# ("extra data"); `pack()` of the same package writes a map.
# Seen on 2026-11-29: the lines under EXPECTED.
# What to do: take floats without a fraction for integers; make Packr with `useRecords: false`; leave
# undefined fields out before packing.
# Needs: python3 with venv, node and npm.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check msgpack==1.2.4
npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$dir" \
  msgpackr@2.1.4 @msgpack/msgpack@3.1.3 notepack.io@3.0.1 msgpack-lite@0.2.2

cat >"$dir/EXPECTED" <<'END'
@msgpack/msgpack: {'ts': 1764460800000, 'sku': None}
notepack.io: {'ts': 1764460800000}
msgpack-lite: {'ts': 1764460800000.0, 'sku': None}
msgpackr pack: {'ts': 1764460800000.0, 'sku': ExtType(code=0, data=b'\x00')}
msgpackr Packr: ExtraData, first ExtType(code=114, data=b'@')
msgpackr Packr without records: {'ts': 1764460800000.0, 'sku': ExtType(code=0, data=b'\x00')}
END

cat >"$dir/try.py" <<'END'
import sys

import msgpack

for line in sys.stdin:
    name, text = line.rstrip().split("\t")
    try:
        print(f"{name}: {msgpack.unpackb(bytes.fromhex(text))}")
    except msgpack.ExtraData as error:
        print(f"{name}: {type(error).__name__}, first {error.unpacked}")
END

cat >"$dir/try.cjs" <<'END'
const { Packr, pack } = require("msgpackr");
const writers = {
  "@msgpack/msgpack": require("@msgpack/msgpack").encode,
  "notepack.io": require("notepack.io").encode,
  "msgpack-lite": require("msgpack-lite").encode,
  "msgpackr pack": pack,
  "msgpackr Packr": (value) => new Packr().pack(value),
  "msgpackr Packr without records": (value) => new Packr({ useRecords: false }).pack(value),
};
for (const [name, write] of Object.entries(writers))
  console.log(`${name}\t${Buffer.from(write({ ts: 1764460800000, sku: undefined })).toString("hex")}`);
END

node "$dir/try.cjs" | "$dir/venv/bin/python" "$dir/try.py" | tee "$dir/seen"
diff "$dir/EXPECTED" "$dir/seen" || { echo "CHANGED: a library writes other bytes than on 2026-11-29" >&2; exit 1; }
