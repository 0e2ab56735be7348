#!/usr/bin/env bash
# What one would guess: decimal libraries keep 19.90 as it was written, and Round(0) of 2.5 is the
# same in all of them.
# Versions: github.com/shopspring/decimal v1.6.0, github.com/govalues/decimal v0.1.36.
# What happens: shopspring writes "19.9" and rounds halves away from zero; govalues writes "19.90" and
# rounds halves to the even digit, under the same name Round. Both write JSON strings, not numbers.
# A backend that changes the library changes cents and the text of its amounts.
# Seen on 2026-11-29: the lines under EXPECTED.
# What to do: compare amounts as numbers, never as text; name the rounding (RoundBank, RoundHalfUp).
# Needs: go 1.26.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

cat >"$dir/EXPECTED" <<'END'
shopspring: 19.90 is written "19.9"; Round(0) of 0.5, 1.5, 2.5 is [1 2 3]
govalues: 19.90 is written "19.90"; Round(0) of 0.5, 1.5, 2.5 is [0 2 2]
END

cat >"$dir/main.go" <<'END'
package main

import (
	"encoding/json"
	"fmt"

	govalues "github.com/govalues/decimal"
	shopspring "github.com/shopspring/decimal"
)

func show(name string, amount any, rounded ...fmt.Stringer) {
	text, _ := json.Marshal(amount)
	fmt.Printf("%s: 19.90 is written %s; Round(0) of 0.5, 1.5, 2.5 is %v\n", name, text, rounded)
}

func main() {
	s, g := shopspring.RequireFromString, govalues.MustParse
	show("shopspring", s("19.90"), s("0.5").Round(0), s("1.5").Round(0), s("2.5").Round(0))
	show("govalues", g("19.90"), g("0.5").Round(0), g("1.5").Round(0), g("2.5").Round(0))
}
END

cd "$dir"
go mod init finding 2>"$dir/log"
go get github.com/shopspring/decimal@v1.6.0 \
  github.com/govalues/decimal@v0.1.36 2>>"$dir/log" || { cat "$dir/log" >&2; exit 1; }
go run . | tee "$dir/seen"
diff "$dir/EXPECTED" "$dir/seen" || { echo "CHANGED: a library writes or rounds otherwise than on 2026-11-29" >&2; exit 1; }
