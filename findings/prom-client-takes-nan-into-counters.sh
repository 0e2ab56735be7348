#!/usr/bin/env bash
# What one would guess: a counter refuses NaN, as this library's counter refuses Infinity and its
# histogram refuses NaN. A NaN is printed as NaN. A summary that has seen nothing has NaN for its
# quantiles, as in the official clients.
# Version: prom-client 15.1.3 (npm).
# What happens: inc(NaN) is accepted, and the counter is NaN for the rest of the process, whatever
# is added later; `inc(order.total * rate)` with one missing field does it. NaN is printed as "Nan"
# (Prometheus reads that, parsers that know only the three spellings of OpenMetrics may not). An
# empty summary says 0 for every quantile, so "no orders" looks like "orders in no time".
# Seen on 2026-11-29: the lines under EXPECTED.
# What to do: check numbers before inc(); alert on `x != x`, which only NaN fulfils; ask for the
# summary's _count before its quantiles.
# Needs: node and npm.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$dir" prom-client@15.1.3

cat >"$dir/EXPECTED" <<'END'
inc(NaN): accepted
inc(Infinity): refused
observe(NaN): refused
orders_total Nan
wait{quantile="0.5"} 0
wait{quantile="0.99"} 0
wait_sum 0
wait_count 0
END

cat >"$dir/try.cjs" <<'END'
const { Counter, Histogram, Summary, register } = require("prom-client");
const orders = new Counter({ name: "orders_total", help: "o" });
const seconds = new Histogram({ name: "seconds", help: "s" });
new Summary({ name: "wait", help: "w", percentiles: [0.5, 0.99] });
const attempts = {
  "inc(NaN)": () => orders.inc(NaN),
  "inc(Infinity)": () => orders.inc(Infinity),
  "observe(NaN)": () => seconds.observe(NaN),
};
for (const [name, attempt] of Object.entries(attempts)) {
  let outcome = "accepted";
  try {
    attempt();
  } catch {
    outcome = "refused";
  }
  console.log(`${name}: ${outcome}`);
}
orders.inc(5);
register.metrics().then((page) => console.log(page.match(/^(orders|wait).*/gm).join("\n")));
END

node "$dir/try.cjs" | tee "$dir/seen"
diff "$dir/EXPECTED" "$dir/seen" || { echo "CHANGED: prom-client treats NaN or an empty summary otherwise than on 2026-11-29" >&2; exit 1; }
