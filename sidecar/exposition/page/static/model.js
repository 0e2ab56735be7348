// From what is known (snapshot, health, feed, age) to what is shown: one plain value. Pure: no DOM, no clock of its own.

import * as f from "./format.js";
import { waiting as jobsWaiting } from "./series.js";

// From this share of faults on the shipped alerts fire.
const FAULT_LIMIT = 0.02;
const LAST_REASONS = 4;
const SOON_SECONDS = 60;
const FROZEN_SECONDS = 5;
const OLD_SECONDS = 2;
const NEVER = 1e12;
const DEFAULT_REFUSALS = new Set(["sold_out", "limit_reached", "duplicate", "payment_declined"]);
const SIGNS = { ok: "●", attention: "▲", critical: "◆", done: "■", unknown: "○" };
const REFUSED = {
  403: "The sidecar does not accept the origin of this page.",
  429: "The sidecar is busy with checking passwords.",
  503: "The sidecar answers, but takes no more clients now.",
};

const sum = (values) => values.reduce((total, value) => total + value, 0);
const plural = (count, one, many) => `${f.whole(count)} ${count === 1 ? one : many}`;
const clean = (text) => text.replace(/[.\s]+$/, "");

/**
 * Return everything that is shown.
 *
 * `feed` is {status, refusal, wantsToken}; `age` the seconds since the commit, `silent` since the last message, `now`
 * the server's clock; `mostStock` the highest stock seen of each product.
 */
export function see({ snapshot, health, feed, age, silent, now, mostStock = new Map() }) {
  const known = { snapshot, health, feed, age, silent, now, troubles: troubles(health) };
  if (!snapshot) return decorate({ ...EMPTY, ...withoutNumbers(known) }, known);
  known.products = rank(snapshot, mostStock);
  known.next = known.products.find((product) => product.eta !== null && product.state !== "sold_out");
  const verdict = [lost, frozen, waiting, planned, ended, soldOut, selling].reduce((one, judge) => one ?? judge(known), null);
  const scene = withAlerts(snapshot, withBudget(snapshot, { ...EMPTY, ...verdict }));
  scene.least = (snapshot.completeness?.ratio ?? 1) < 1;
  return decorate({ ...scene, ...numbers(known, scene) }, known);
}

/** Join the sale of a snapshot with its plan, or, while none runs, with the plan that comes next. */
export function saleOf(sale, sales) {
  const isNext = (plan) => plan.state === "planned" && (sale?.state ?? "none") === "none";
  const plans = sales.filter((plan) => isNext(plan) || (plan.id !== null && plan.id === sale?.id));
  const [plan] = plans.sort((one, other) => one.starts_at - other.starts_at);
  if (!plan) return sale;
  return { ...sale, title: plan.title, kind: plan.kind, starts_at: plan.starts_at, ends_at: plan.ends_at, markers: plan.markers };
}

const EMPTY = { state: "loading", mark: "unknown", sentence: "", why: "", frozen: false, products: [], tiles: [], alerts: [] };

// What is the matter: the first of these that applies.

function withoutNumbers({ health, feed, silent }) {
  if (feed.wantsToken) return { state: "token", mark: "attention", sentence: "The sidecar wants a token." };
  if (feed.status === "closed") return { state: "loading", mark: "critical", sentence: disconnected(feed, silent) };
  if (health?.role === "standby" && health.status === "standby") {
    const why = health.components.commit?.detail ?? "";
    return { state: "standby", mark: "unknown", sentence: "Standby: this sidecar takes over when the active one ends.", why };
  }
  if (health) {
    const [name, component] = Object.entries(health.components).find(([, one]) => one.status === "down") ?? ["state", {}];
    const why = clean(component.detail ?? "the state is not loaded yet");
    return { state: "starting", mark: "attention", sentence: "The sidecar has no numbers yet.", why: `${name}: ${why}.` };
  }
  return { sentence: "Connecting to the sidecar." };
}

function lost({ snapshot, feed, silent }) {
  if (feed.wantsToken) return { state: "token", mark: "critical", frozen: true, sentence: "The sidecar wants a token." };
  if (feed.status === "open" || silent <= OLD_SECONDS) return null;
  const why = `These are the numbers of ${f.time(snapshot.committed_at)}.`;
  return { state: "lost", mark: "critical", frozen: true, sentence: disconnected(feed, silent), why };
}

function frozen({ snapshot, health, age }) {
  if (!snapshot.stale && age <= FROZEN_SECONDS) return null;
  const component = ["redis", "commit"].map((name) => health?.components[name]).find((one) => one?.status === "down");
  const reason = clean(component?.detail ?? "nothing is committed").replace(/: \w+Error$/, "");
  return {
    state: "frozen",
    mark: "critical",
    frozen: true,
    sentence: `Numbers frozen since ${f.time(snapshot.committed_at)}: ${reason}.`,
    why: "Streams are read on when it is back. What pub/sub sends meanwhile is lost, and counted as missed where events carry seq.",
  };
}

function waiting({ snapshot, health }) {
  const { total, by_status: statuses } = snapshot.orders;
  if (total || statuses.pending || startsAt(snapshot.sale)) return null;
  return { state: "waiting", mark: "unknown", sentence: "Waiting for the first event.", why: listening(snapshot, health) };
}

function planned({ snapshot, now }) {
  const { sale, orders } = snapshot;
  const starts = startsAt(sale);
  if (!starts || starts <= now || orders.total) return null;
  const sentence = `The sale starts at ${f.time(starts)}, in ${f.span(starts - now)}.`;
  return { state: "planned", mark: "unknown", sentence, why: "Stock and warm-up values are below." };
}

function ended({ snapshot, products }) {
  const { sale, orders } = snapshot;
  if (sale?.state !== "ended") return null;
  const at = sale.ended_at ? ` at ${f.time(sale.ended_at)}` : "";
  const why = `${faults(orders, "total")} over the sale. The report is at monitoring/report.`;
  return { state: "ended", mark: "done", sentence: `The sale ended${at}. ${sold(orders, products)}.`, why };
}

function soldOut({ snapshot, products }) {
  const { sale, orders } = snapshot;
  const stocked = products.filter((product) => product.left !== null);
  if (!stocked.length || stocked.some((product) => product.left !== 0)) return null;
  const gone = Math.max(...stocked.map((product) => product.at ?? 0));
  const took = gone && startsAt(sale) && gone > startsAt(sale) ? ` in ${f.span(gone - startsAt(sale))}` : "";
  const refused = plural(orders.refusals, "order was", "orders were");
  return {
    state: "soldout",
    mark: "done",
    sentence: `Sold out${took}. ${sold(orders, products)}.`,
    why: `${faults(orders, "total")} over the sale. Refusals are expected now: ${refused} told no.`,
  };
}

function selling(known) {
  return oversold(known) ?? faulty(known) ?? degraded(known) ?? quiet(known) ?? well(known);
}

function oversold({ snapshot, products }) {
  const [worst] = products.filter((product) => product.left !== null && product.left < 0);
  if (!worst) return null;
  const more = products.filter((product) => product.left < 0).length - 1;
  const others = more ? ` ${plural(more, "other product is", "other products are")} oversold.` : "";
  return {
    state: "live",
    mark: "critical",
    sentence: `Oversold: ${named(worst)} by ${plural(-worst.left, "unit", "units")}.`,
    why: `More was sold than there was.${others} ${left(products)}`,
  };
}

function faulty({ snapshot, products }) {
  const { orders } = snapshot;
  if (!(orders.fault_rate["10s"] > FAULT_LIMIT)) return null;
  const share = `${f.percent(orders.fault_rate["10s"])} %`;
  const sentence = `${share} of orders fail because of us (limit ${f.percent(FAULT_LIMIT, 0)} %).`;
  return { state: "live", mark: "attention", sentence, why: `${mostFaults(orders)}${sold(orders, products)}.` };
}

function degraded({ snapshot, next, troubles: found }) {
  const { completeness, orders } = snapshot;
  const missed = completeness?.last_minute?.missed ?? completeness?.missed ?? 0;
  if (!found.length && !missed) return null;
  const cause = found.map(([name, one]) => `${name}: ${clean(one.detail ?? one.status)}`).join("; ");
  const sentence = missed
    ? `At least ${f.rate(orders.per_second["10s"])} orders/s: ${plural(completeness.missed, "event is", "events are")} missing.`
    : `Counting, but ${found[0][0]} is not well.`;
  const why = [cause, sellsOut(next)].filter(Boolean).join(". ");
  return { state: "degraded", mark: "attention", sentence, why: why ? `${why}.` : "" };
}

function quiet({ snapshot, products }) {
  const { sale, orders } = snapshot;
  if (orders.per_second["10s"] || orders.per_second.now) return null;
  const on = sale?.state === "running";
  return {
    state: "quiet",
    mark: on ? "attention" : "unknown",
    sentence: on ? "No orders for 10 s, and the sale is on." : `No orders in the last 10 s. ${sold(orders, products)}.`,
    why: on ? `Is the shop up? ${sold(orders, products)}.` : `${faults(orders, "total")} in all.`,
  };
}

function well({ snapshot, products, next }) {
  const { orders } = snapshot;
  const pace = `Selling well: ${f.rate(orders.per_second["10s"])} orders/s`;
  const sentence = [pace, faults(orders, "10s"), sellsOut(next)].filter(Boolean).join(", ") + ".";
  return { state: "live", mark: "ok", sentence, why: `${sold(orders, products)}. ${left(products)}` };
}

/** Of the error budgets the one that is nearest to its end; null if the sale has none. */
function tightest(slo) {
  const budgets = Object.values(slo ?? {}).sort((one, other) => one.remaining_ratio - other.remaining_ratio);
  return budgets[0] ?? null;
}

function withBudget({ slo }, scene) {
  const budget = tightest(slo);
  if (!budget || scene.mark !== "ok" || budget.remaining_ratio >= 0.25) return scene;
  if (budget.left <= 0) {
    const bad = plural(budget.bad, "order was bad", "orders were bad");
    return { ...scene, mark: "critical", sentence: `The error budget is spent: ${bad}.` };
  }
  const room = `${f.percent(budget.remaining_ratio, 0)} % of the error budget is left`;
  const more = plural(Math.floor(budget.left), "more bad order", "more bad orders");
  return { ...scene, mark: "attention", sentence: `${room}: ${more}.` };
}

function withAlerts({ slo }, scene) {
  const paging = Object.entries(slo ?? {}).filter(([, budget]) => budget.state === "page");
  const left = (budget) => f.percent(Math.max(0, budget.remaining_ratio), 0);
  const alerts = paging.map(([name, budget]) => ({ text: `The error budget "${name}" burns too fast: ${left(budget)} % of it is left.` }));
  if (!alerts.length) return scene;
  if (scene.frozen) return { ...scene, alerts };
  const [first, ...others] = alerts;
  return { ...scene, mark: "critical", why: `${scene.sentence} ${scene.why}`, sentence: first.text, alerts: others };
}

// The parts of sentences.

function disconnected(feed, silent) {
  return `Disconnected for ${f.span(silent)}, trying again. ${REFUSED[feed.refusal] ?? "Nothing answers at this address."}`;
}

function listening({ completeness, uptime_s: uptime }, health) {
  const sources = Object.entries(health?.components ?? {}).filter(([name]) => isSource(name));
  const away = sources.filter(([, one]) => one.status !== "ok");
  const invalid = completeness?.invalid ?? 0;
  if (invalid) {
    return `${plural(invalid, "event has", "events have")} come, and none could be counted. The last one is below.`;
  }
  if (away.length) return `It does not listen yet: ${away.map(([name, one]) => `${name} ${one.detail ?? one.status}`).join("; ")}.`;
  return `It listens on ${plural(sources.length, "source", "sources")} and has heard nothing in ${f.span(uptime)}.`;
}

function sold(orders, products) {
  const revenue = revenues(orders);
  return `${plural(units(products), "unit", "units")} sold${revenue && `, ${revenue}`}`;
}

function revenues(orders) {
  return Object.entries(orders.revenue ?? {})
    .map(([currency, amount]) => `${f.money(amount.replace(/\.\d+$/, ""))} ${currency}`)
    .join(" + ");
}

function left(products) {
  const open = products.filter((product) => product.state !== "sold_out").length;
  return `${open} of ${plural(products.length, "product", "products")} left.`;
}

function mostFaults(orders) {
  const [most] = byCount(orders.failed_by_reason).filter(([reason]) => !DEFAULT_REFUSALS.has(reason));
  return most ? `Most: ${most[0]} (${f.whole(most[1])}). ` : "";
}

const units = (products) => sum(products.map((product) => product.units));
const faults = (orders, window) => `${f.percent(orders.fault_rate[window])} % faults`;
const named = (product) => (product.id.length > f.LONGEST_NAME ? "a product" : product.id);
const byCount = (counts) => Object.entries(counts ?? {}).sort((one, other) => other[1] - one[1]);
const startsAt = (sale) => sale?.started_at ?? sale?.starts_at ?? null;

function sellsOut(next) {
  if (!next) return "";
  return `${next.id.length > f.LONGEST_NAME ? "the next product" : next.id} sells out in about ${f.about(next.eta)}`;
}

export function isSource(name) {
  return /^(pubsub|stream):/.test(name);
}

/** The components that are not well. */
function troubles(health) {
  return Object.entries(health?.components ?? {}).filter(([, one]) => one.status !== "ok");
}

// The numbers.

function numbers(known, scene) {
  const { snapshot, products } = known;
  return {
    products,
    tiles: tiles(known, scene),
    reasons: reasons(snapshot.orders),
    money: money(snapshot.orders, products, scene.least),
  };
}

function rank({ orders, inventory = {} }, mostStock) {
  const ids = new Set([...Object.keys(orders.by_product ?? {}), ...Object.keys(inventory)]);
  const products = [...ids].map((id) => describe(id, orders.by_product?.[id], inventory[id], mostStock.get(id) ?? 0));
  const first = (product) => (product.mark === "critical" ? 0 : 1);
  return products.sort(
    (one, other) =>
      first(one) - first(other) ||
      rankOf(one) - rankOf(other) ||
      (one.eta ?? NEVER) - (other.eta ?? NEVER) ||
      other.units - one.units ||
      (one.id < other.id ? -1 : 1),
  );
}

/** Those with a time come first, whatever their state. */
const rankOf = ({ eta, state }) => (eta === null ? URGENCY.indexOf(state) : -1);
const URGENCY = ["selling", "restocked", "stalled", "starting", "idle", "not_started", "unknown", "ended", "sold_out"];

function describe(id, orders, stock, most) {
  const left = stock ? stock.stock : null;
  const sold = orders?.units ?? 0;
  const found = stock?.sell_out;
  const product = { id, left, units: sold, of: left === null ? null : Math.max(sold + left, most) };
  product.state = left === null ? "unknown" : left <= 0 ? "sold_out" : (found?.state ?? "idle");
  product.eta = left > 0 ? (found ? found.eta_s : (stock.sell_out_in_s ?? null)) : null;
  product.low = found?.low_s;
  product.high = found?.high_s;
  product.at = found?.at;
  product.rate = stock?.depletion_per_second ?? null;
  product.mark = urgency(product);
  product.when = when(product);
  return product;
}

function urgency({ left, state, eta }) {
  if (left !== null && left < 0) return "critical";
  if (state === "sold_out" || state === "ended") return "done";
  if (state === "stalled" || (eta !== null && eta < SOON_SECONDS)) return "attention";
  return eta === null ? "unknown" : "ok";
}

/** Say when a product sells out. */
function when({ left, state, eta, low, high, at }) {
  if (left === null) return "stock unknown";
  if (left < 0) return `oversold by ${f.whole(-left)}`;
  if (eta !== null && state !== "sold_out") return f.band(eta, low, high);
  switch (state) {
    case "sold_out":
      return at ? `sold out ${f.time(at)}` : "sold out";
    case "starting":
      return "estimating";
    case "not_started":
      return "not sold yet";
    case "ended":
      return "sale is over";
    case "stalled":
      return "stalled";
    default:
      return "unknown";
  }
}

function tiles(known, scene) {
  const { snapshot } = known;
  const all = [rateTile(snapshot, scene), faultTile(snapshot), waitTile(snapshot), fourthTile(known, scene), queueTile(snapshot)];
  return all.map((tile) => ({ unit: "", more: "", mark: "ok", ...tile }));
}

function rateTile({ orders }, { least }) {
  const { peak, peak_at: at, "10s": rate } = orders.per_second;
  const value = (least ? "≥ " : "") + f.fits(rate);
  return { id: "rate", label: "Orders/s", value, note: `peak ${f.fits(peak)}`, more: at ? ` at ${f.time(at)}` : "", series: "rate" };
}

function faultTile({ orders }) {
  const share = orders.fault_rate["10s"];
  const refused = f.isMissing(orders.error_rate["10s"]) ? null : Math.max(0, orders.error_rate["10s"] - share);
  return {
    id: "faults",
    label: "Faults, 10 s",
    value: f.percent(share),
    unit: f.isMissing(share) ? "" : "%",
    note: `limit ${f.percent(FAULT_LIMIT, 0)} %`,
    more: f.isMissing(refused) ? "" : `, refused ${f.percent(refused, 1)} %`,
    mark: share > FAULT_LIMIT ? "attention" : "ok",
    series: "faults",
  };
}

function waitTile({ latency_ms: latency }) {
  const { p50, p99 } = latency?.["1m"] ?? {};
  const [value, unit] = f.milliseconds(p99);
  const note = `p50 ${f.milliseconds(p50).join(" ").trim()}`;
  return { id: "wait", label: "Wait p99, 1 min", value, unit, note, mark: "ok", series: "p99" };
}

function fourthTile({ snapshot, products }, { least }) {
  const { slo, orders } = snapshot;
  const budget = tightest(slo);
  if (budget) {
    const left = Math.max(0, budget.remaining_ratio);
    const mark = budget.left <= 0 ? "critical" : left < 0.25 ? "attention" : "ok";
    const note = `room for ${f.fits(Math.max(0, Math.floor(budget.left)))}`;
    const more = `, burn ${budget.burn["1m"].toFixed(1)}×`;
    return { id: "budget", label: "Error budget left", value: f.percent(left, 0), unit: "%", note, more, mark, budget: left };
  }
  const value = (least ? "≥ " : "") + f.fits(units(products));
  return { id: "sold", label: "Units sold", value, note: revenues(orders) || "no amounts are published" };
}

function queueTile({ queues = {} }) {
  const depth = jobsWaiting(queues);
  const tile = { id: "queue", label: "Queue, waiting", series: "queue" };
  if (depth === null) return { ...tile, value: f.NONE, note: "no queue is reported" };
  const count = Object.keys(queues).length;
  return { ...tile, value: f.fits(depth), note: `in ${plural(count, "queue", "queues")}` };
}

/** Group the reasons of failed orders. Which are refusals is configured; by the default words if these add up. */
function reasons(orders) {
  const all = byCount(orders.failed_by_reason);
  const most = all.length ? all[0][1] : 1;
  const group = (kind, title, total, list) => ({
    kind,
    title,
    total,
    list: list.slice(0, LAST_REASONS).map(([reason, count]) => ({ reason, count, share: count / most })),
  });
  const refusals = all.filter(([reason]) => DEFAULT_REFUSALS.has(reason));
  if (sum(refusals.map(([, count]) => count)) !== orders.refusals) {
    return [group("refusal", "Failed: refusals and faults", orders.refusals + orders.faults, all)];
  }
  const others = all.filter(([reason]) => !DEFAULT_REFUSALS.has(reason));
  return [
    group("fault", "Faults: we failed", orders.faults, others),
    group("refusal", "Refusals: the shop said no", orders.refusals, refusals),
  ];
}

function money(orders, products, least) {
  return [
    ["Units", (least ? "≥ " : "") + f.whole(units(products))],
    ["Orders", f.whole(orders.by_status.success)],
    ...Object.entries(orders.revenue ?? {}).map(([currency, amount]) => [currency, f.money(amount)]),
    ["In flight", f.whole(orders.in_flight)],
  ];
}

// The strip above, and the title of the tab.

function decorate(scene, known) {
  const { snapshot, now } = known;
  const sale = snapshot?.sale;
  scene.complete = completeness(scene, snapshot);
  scene.live = liveness(scene, known);
  scene.heading = sale?.title ?? sale?.id ?? (snapshot ? `Flash sale on ${snapshot.instance}` : "Flash sale");
  const told = { soldout: "sold out", ended: "ended", planned: "planned" }[scene.state];
  const phase = told ?? snapshot?.phases?.now?.replace("_", " ");
  const kind = sale?.kind === "live" ? null : sale?.kind;
  scene.phase = [kind, phase].filter(Boolean).join(", ") || null;
  scene.clock = clocks(sale, now);
  scene.fleet = snapshot?.scope === "fleet" ? `fleet of ${snapshot.instances?.length ?? f.NONE}` : null;
  scene.title = title(scene, known);
  return scene;
}

function completeness({ state }, snapshot) {
  const { ratio, missed } = snapshot?.completeness ?? {};
  if (f.isMissing(ratio) || state === "waiting") return null;
  const lacking = missed ? ` (${f.whole(missed)} missed)` : "";
  return { text: `complete ${f.complete(ratio)} %${lacking}`, full: ratio === 1 };
}

function liveness({ state, frozen: isFrozen }, { snapshot, age, silent }) {
  if (!snapshot) return { text: { standby: "standby", token: "locked", starting: "starting" }[state] ?? "connecting", mark: "unknown" };
  if (state === "lost" || state === "token") return { text: `lost ${f.span(silent)}`, mark: "critical" };
  if (isFrozen) return { text: `${f.span(age)} old`, mark: "critical" };
  if (age > OLD_SECONDS) return { text: `${Math.round(age)} s old`, mark: "attention" };
  if (state === "ended") return { text: "final", mark: "done" };
  if (state === "waiting") return { text: `listening ${f.span(snapshot.uptime_s)}`, mark: "ok" };
  return { text: `live ${age.toFixed(1)} s`, mark: "ok" };
}

function clocks(sale, now) {
  const starts = startsAt(sale);
  if (!starts) return null;
  const passed = now - starts;
  if (passed < 0) return { t: `T−${f.countdown(passed)}`, rest: `starts ${f.time(starts)}` };
  const over = sale.ended_at;
  if (over) return { t: f.span(over - starts), rest: "long" };
  const rest = !sale.ends_at ? `since ${f.time(starts)}` : sale.ends_at > now ? `ends in ${f.countdown(sale.ends_at - now)}` : "over";
  return { t: `T+${f.countdown(passed)}`, rest };
}

function title(scene, { snapshot, next }) {
  const short = {
    lost: "◆ disconnected",
    token: "◆ token wanted",
    frozen: "◆ frozen",
    waiting: "○ waiting",
    standby: "○ standby",
    soldout: "■ sold out",
    ended: "■ ended",
  }[scene.state];
  if (short) return short;
  if (!snapshot) return "Flash sale";
  const soon = next ? `, ${next.id.slice(0, 16)} ~${f.about(next.eta)}` : "";
  return `${SIGNS[scene.mark]} ${f.rate(snapshot.orders.per_second["10s"])}/s${soon}`;
}
