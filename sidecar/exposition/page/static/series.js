// The last 15 minutes by the second. Pure.

export const SECONDS = 900;
const NAMES = ["total", "ok", "refused", "fault", "p50", "p99", "queue"];
const OUTCOMES = ["ok", "refused", "fault", "p50", "p99"];
export const METRICS = ["throughput", "queue_length", ...OUTCOMES]; // of the history
const HISTORY = { total: "throughput", queue: "queue_length" };
const SETTLED_SECONDS = 0.5; // `now` is the last second that ended a commit interval ago
const BRIDGED_SECONDS = 3;

export class Series {
  /** `null` is a second without a value; before `knownFrom` that says nothing. */
  constructor(now) {
    this.first = Math.floor(now) - SECONDS - 1;
    for (const name of NAMES) this[name] = new Array(SECONDS).fill(null);
    this.since = 0;
    this.phases = [];
    this.marks = [];
    this.knownFrom = Infinity;
    this.before = null;
    this.version = 0;
  }

  /** Take a snapshot: its newest second, and the outcomes since the one before. */
  take(snapshot) {
    this.since = snapshot.since;
    const changes = snapshot.phases?.changes ?? [];
    this.phases = changes.map(({ at, phase }, number) => ({
      name: phase.replace("_", " "),
      from: at,
      to: changes[number + 1]?.at,
    }));
    if (snapshot.stale || snapshot.committed_at === null) return;
    const second = Math.floor(snapshot.committed_at - SETTLED_SECONDS) - 1;
    const { total, faults, refusals, per_second: rates } = snapshot.orders;
    const now = { second, total, faults, refusals };
    if (this.before && second <= this.before.second) return;
    this.slide(second);
    this.knownFrom = Math.min(this.knownFrom, second);
    if (this.before) this.bridge(this.before, now);
    this.put("total", second, rates.now);
    this.put("p50", second, snapshot.latency_ms?.["10s"]?.p50 ?? null);
    this.put("p99", second, snapshot.latency_ms?.["10s"]?.p99 ?? null);
    this.put("queue", second, waiting(snapshot.queues));
    this.before = now;
    this.version += 1;
  }

  /** Spread what was counted between two updates over the seconds between them; a real gap stays one. */
  bridge(before, now) {
    const seconds = now.second - before.second;
    const since = (name) => (now[name] - before[name]) / seconds;
    if (seconds > BRIDGED_SECONDS || since("total") < 0) return;
    for (let second = before.second + 1; second <= now.second; second += 1) {
      this.put("total", second, since("total"));
      this.put("fault", second, since("faults"));
      this.put("refused", second, since("refusals"));
      this.put("ok", second, Math.max(0, since("total") - since("faults") - since("refusals")));
    }
  }

  /** Take the history of the sidecar, where it has values. */
  fill(history, now) {
    this.slide(Math.floor(now) - 1);
    const exact = OUTCOMES.every((name) => history[name]);
    for (const name of NAMES) {
      for (const [second, value] of history[HISTORY[name] ?? name]?.points ?? []) {
        if (value !== null) this.put(name, second, value);
      }
    }
    // Without outcomes, `null` also stands for a second without orders.
    this.knownFrom = exact ? 0 : Math.floor(now);
    this.version += 1;
  }

  slide(last) {
    if (this.version === 0) this.first = last - SECONDS + 1; // the sidecar's clock, not the browser's
    const shift = last - (this.first + SECONDS - 1);
    if (shift <= 0) return;
    for (const name of NAMES) {
      this[name].copyWithin(0, shift);
      this[name].fill(null, Math.max(0, SECONDS - shift));
    }
    this.first += shift;
  }

  put(name, second, value) {
    const index = second - this.first;
    if (index >= 0 && index < SECONDS) this[name][index] = value;
  }

  /** Tell whether the sidecar did not count in this second. */
  isGap(index) {
    const second = this.first + index;
    return this.total[index] === null && second >= this.since && second >= this.knownFrom;
  }

  /** The newest values for the small charts. */
  sparks(seconds = 300) {
    const newest = (name) => this[name].slice(-seconds);
    const total = newest("total");
    const faults = newest("fault").map((count, index) => share(count, total[index]));
    return { version: this.version, rate: total, faults, p99: newest("p99"), queue: newest("queue") };
  }

  /** One sentence for those who cannot see the chart. */
  summary() {
    const counted = this.total.filter((value) => value !== null);
    const gaps = this.total.filter((_, index) => this.isGap(index)).length;
    return { now: counted.at(-1) ?? null, most: counted.length ? Math.max(...counted) : null, gaps };
  }

  /** A row for each minute, the newest first. */
  minutes() {
    const rows = [];
    for (let start = SECONDS - 60; start >= 0; start -= 60) {
      const values = (name) => this[name].slice(start, start + 60).filter((value) => value !== null);
      const total = (name) => (values(name).length ? values(name).reduce((sum, value) => sum + value, 0) : null);
      const worst = values("p99").length ? Math.max(...values("p99")) : null;
      rows.push({ from: this.first + start, total: total("total"), refused: total("refused"), fault: total("fault"), worst });
    }
    return rows;
  }
}

function share(count, total) {
  if (count === null || total === null) return null;
  return total ? count / total : 0;
}

/** Return the jobs that wait in all queues; `null` if none reports it. */
export function waiting(queues = {}) {
  const depths = Object.values(queues)
    .map((queue) => queue.waiting)
    .filter((depth) => depth !== null && depth !== undefined);
  return depths.length ? depths.reduce((sum, depth) => sum + depth, 0) : null;
}
