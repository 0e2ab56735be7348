#!/usr/bin/env bash
# What one would guess: in OpenMetrics the `_created` line of a counter is its time of birth, and
# Prometheus takes it for that; it makes no series of its own.
# Version: github.com/prometheus/prometheus v0.316.0 (the parser of Prometheus 3.16), without a server.
# What happens: the parser hands `orders_created` out as a sample like any other, so each counter and
# each histogram with such a line costs one series more per set of labels. It leaves the lines out
# only where it is made with WithOMParserSTSeriesSkipped, which the server does with the feature flag
# for start timestamps alone. A Prometheus 2.42 and a 3.16 stored the series (tried by hand with
# servers). prometheus_client for Python writes the lines unless told not to.
# Seen on 2026-11-29: the lines under EXPECTED.
# What to do: PROMETHEUS_DISABLE_CREATED_SERIES=True in Python programs, a metric_relabel_configs rule
# that drops `.*_created`, or the feature flag created-timestamp-zero-ingestion.
# Needs: go 1.26.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

cat >"$dir/EXPECTED" <<'END'
default: orders_total 5
default: orders_created 1.7644608e+09
default: wait_sum 2.5
default: wait_count 4
default: wait_created 1.7644608005e+09
skipped: orders_total 5
skipped: wait_sum 2.5
skipped: wait_count 4
END

cat >"$dir/main.go" <<'END'
package main

import (
	"fmt"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
)

const page = `# TYPE orders counter
orders_total 5
orders_created 1764460800
# TYPE wait summary
wait_sum 2.5
wait_count 4
wait_created 1764460800.5
# EOF
`

func show(title string, parser textparse.Parser) {
	for entry, err := parser.Next(); err == nil; entry, err = parser.Next() {
		if entry == textparse.EntrySeries {
			var series labels.Labels
			parser.Labels(&series)
			_, _, value := parser.Series()
			fmt.Println(title, series.Get("__name__"), value)
		}
	}
}

func main() {
	show("default:", textparse.NewOpenMetricsParser([]byte(page), labels.NewSymbolTable()))
	show("skipped:", textparse.NewOpenMetricsParser([]byte(page), labels.NewSymbolTable(), textparse.WithOMParserSTSeriesSkipped()))
}
END

cd "$dir"
go mod init finding 2>"$dir/log"
go get github.com/prometheus/prometheus/model/labels@v0.316.0 \
  github.com/prometheus/prometheus/model/textparse@v0.316.0 2>>"$dir/log" || { cat "$dir/log" >&2; exit 1; }
go run . | tee "$dir/seen"
diff "$dir/EXPECTED" "$dir/seen" || { echo "CHANGED: the parser treats _created otherwise than on 2026-11-29" >&2; exit 1; }
