#!/usr/bin/env bash
# What one would guess: how many decimals a currency has is settled by ISO 4217, so libraries
# differ at most in currencies that are new or gone.
# Versions: Babel 2.19.0, iso4217 1.16.20260101 (PyPI), currency-codes 2.2.0, @dinero.js/currencies
# 2.0.0-alpha.15 (npm).
# What happens: Babel answers by Unicode's CLDR, which counts the decimals in everyday use: 0 for
# IQD (ISO 4217: 3) and for HUF, IDR, COP and LBP (ISO 4217: 2). Intl in Node 20 with ICU 78 said the
# same, and 0 for PKR as well. Dinero gives MGA and MRU one digit, on a base of 5. An amount in minor units that one
# library wrote and another one reads is wrong by 100 or 1,000.
# Seen on 2026-11-29: the lines under EXPECTED.
# What to do: for amounts in minor units use a list of ISO 4217 (or the payment provider's own list),
# never the digits of a formatting library; send amounts as decimal text where you can.
# Needs: python3 with venv, node and npm.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check babel==2.19.0 iso4217==1.16.20260101
npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$dir" \
  currency-codes@2.2.0 @dinero.js/currencies@2.0.0-alpha.15

cat >"$dir/EXPECTED" <<'END'
JPY: iso4217 0, currency-codes 0, Babel 0, Dinero 0 (base 10)
KWD: iso4217 3, currency-codes 3, Babel 3, Dinero 3 (base 10)
IQD: iso4217 3, currency-codes 3, Babel 0, Dinero 3 (base 10)
HUF: iso4217 2, currency-codes 2, Babel 0, Dinero 2 (base 10)
IDR: iso4217 2, currency-codes 2, Babel 0, Dinero 2 (base 10)
COP: iso4217 2, currency-codes 2, Babel 0, Dinero 2 (base 10)
LBP: iso4217 2, currency-codes 2, Babel 0, Dinero 2 (base 10)
PKR: iso4217 2, currency-codes 2, Babel 2, Dinero 2 (base 10)
MGA: iso4217 2, currency-codes 2, Babel 0, Dinero 1 (base 5)
MRU: iso4217 2, currency-codes 2, Babel 2, Dinero 1 (base 5)
END

cat >"$dir/try.py" <<'END'
import json
import sys

from babel.numbers import get_currency_precision
from iso4217 import Currency

for code, listed, exponent, base in json.load(sys.stdin):
    print(
        f"{code}: iso4217 {Currency(code).exponent}, currency-codes {listed}, "
        f"Babel {get_currency_precision(code)}, Dinero {exponent} (base {base})"
    )
END

cat >"$dir/try.cjs" <<'END'
const codes = require("currency-codes");
const dinero = require("@dinero.js/currencies");
const list = ["JPY", "KWD", "IQD", "HUF", "IDR", "COP", "LBP", "PKR", "MGA", "MRU"];
console.log(JSON.stringify(list.map((code) => [code, codes.code(code).digits, dinero[code].exponent, dinero[code].base])));
END

node "$dir/try.cjs" | "$dir/venv/bin/python" "$dir/try.py" | tee "$dir/seen"
diff "$dir/EXPECTED" "$dir/seen" || { echo "CHANGED: a library has other minor units than on 2026-11-29" >&2; exit 1; }
