// Writes what the model says into the page.

import * as f from "./format.js";
import { spark } from "./chart.js";
import { $, classes, make, makeMark, makeSvg, rebuild, set, setMark, write } from "./dom.js";
import { isSource } from "./model.js";

const LOGGED = 8;
const EXAMPLE = `'{"status":"success","product_id":"sku-1","latency_ms":42}'`;
const MARKS = { ok: "ok", degraded: "attention", down: "critical" };

const tiles = new Map();

export function showStrip(scene, pausedFor) {
  write($("title"), scene.heading);
  $("phase").hidden = !scene.phase;
  write($("phase"), scene.phase ?? "");
  rebuild($("clock"), scene.clock, () => (scene.clock ? [make("b", "", scene.clock.t), `  ${scene.clock.rest}`] : []));
  $("complete").hidden = !scene.complete;
  $("complete").classList.toggle("full", Boolean(scene.complete?.full));
  write($("complete"), scene.complete?.text ?? "");
  $("fleet").hidden = !scene.fleet;
  write($("fleet"), scene.fleet ?? "");
  classes($("live"), "fact live", scene.live.mark);
  set($("live-mark"), "href", `#m-${scene.live.mark}`);
  write($("live-text"), pausedFor ? `paused, ${f.span(pausedFor)} old` : scene.live.text);
}

export function showVerdict(scene) {
  classes($("verdict"), "verdict", scene.mark);
  set($("verdict-mark"), "href", `#m-${scene.mark}`);
  write($("sentence"), scene.sentence);
  write($("why"), scene.why);
  document.body.dataset.state = scene.state;
  document.body.dataset.mark = scene.mark;
  document.body.toggleAttribute("data-frozen", scene.frozen);
}

/** Only a changed list is written, so that a screen reader says each alert once. */
export function showAlerts(alerts) {
  rebuild($("alerts"), alerts, () => alerts.map(({ text }) => make("p", "", makeMark("critical"), make("span", "", text))));
}

export function showTiles(list, sparks) {
  for (const tile of list) {
    if (!tiles.has(tile.id)) tiles.set(tile.id, makeTile(tile));
    updateTile(tiles.get(tile.id), tile, sparks);
  }
  for (const [id, node] of tiles) {
    if (list.some((tile) => tile.id === id)) continue;
    node.box.remove();
    tiles.delete(id);
  }
}

function makeTile(tile) {
  const node = {
    box: make("div", "tile"),
    mark: makeMark("ok"),
    value: make("span", "", ""),
    unit: make("small"),
    note: make("span"),
    more: make("span", "more"),
  };
  node.box.setAttribute("role", "group");
  node.box.setAttribute("aria-label", tile.label);
  node.box.dataset.tile = tile.id;
  node.box.append(make("p", "label", make("span", "", tile.label), node.mark));
  node.box.append(make("p", "value", node.value, node.unit), make("p", "note", node.note, node.more));
  node.box.append(tile.budget === undefined ? makeSpark(node) : makeBudget(node));
  $("tiles").insertBefore(node.box, tile.id === "queue" ? null : ($("tiles").querySelector("[data-tile=queue]")));
  return node;
}

function makeSpark(node) {
  const svg = makeSvg("svg", "spark", { viewBox: "0 0 100 30", preserveAspectRatio: "none", "aria-hidden": "true" });
  node.area = makeSvg("path", "area");
  node.line = makeSvg("path");
  svg.append(node.area, node.line);
  return svg;
}

function makeBudget(node) {
  node.fill = make("i");
  return make("div", "budget", node.fill);
}

function updateTile(node, tile, sparks) {
  classes(node.box, "tile", tile.mark);
  node.mark.toggleAttribute("hidden", tile.mark === "ok" || tile.mark === "unknown");
  setMark(node.mark, tile.mark);
  write(node.value, tile.value);
  write(node.unit, tile.unit);
  write(node.note, tile.note);
  write(node.more, tile.more);
  if (node.fill) node.fill.style.width = `${Math.max(0, tile.budget * 100).toFixed(1)}%`;
  const values = sparks[tile.series];
  if (!values || node.drawn === sparks.version) return;
  node.drawn = sparks.version;
  spark(node.line, node.area, values);
}

export function showReasons(groups) {
  rebuild($("reasons"), groups, () => groups.flatMap(reasonGroup));
}

function reasonGroup({ kind, title, total, list }) {
  const head = make("p", "kind", make("span", "", title), make("span", "", f.whole(total)));
  return [head, ...list.map((one) => reasonRow(kind, one))];
}

function reasonRow(kind, { reason, count, share }) {
  const bar = make("i");
  bar.style.width = `${Math.max(1, share * 100)}%`;
  const name = make("span", "", reason);
  name.title = reason;
  return make("div", `reason ${kind}`, name, make("div", "bar", bar), make("span", "num", f.whole(count)));
}

export function showMoney(entries) {
  rebuild($("money"), entries, () => entries.map(([name, value]) => make("div", "", make("dt", "", name), make("dd", "", value))));
}

export function showSources(health, completeness) {
  const components = Object.entries(health?.components ?? {});
  const events = completeness && [
    "events",
    {
      status: completeness.invalid ? "degraded" : "ok",
      detail: `${f.whole(completeness.received)} received, ${f.whole(completeness.invalid)} rejected`,
    },
  ];
  const list = events ? [...components.filter(([name]) => name !== "events"), events] : components;
  for (const id of ["sources", "checks"]) rebuild($(id), list, () => list.map(component));
}

function component([name, { status, detail, received, last_event_at: at }]) {
  const mark = MARKS[status] ?? "unknown";
  const heard = received === undefined ? "" : `${f.whole(received)} events${at ? `, the last at ${f.time(at)}` : ""}`;
  const state = detail ?? (status === "ok" && isSource(name) ? "connected" : status);
  const text = isSource(name) && heard ? `${detail ? `${detail}; ` : ""}${heard}` : state;
  return make("li", `is-${mark}`, makeMark(mark), make("span", "", `${name} `, make("span", "muted", text)));
}

export function showLog(entries) {
  const shown = entries.slice(0, LOGGED);
  const line = ({ at, mark, text }) =>
    make("li", `is-${mark}`, make("time", "", f.time(at)), makeMark(mark), make("span", "", text));
  rebuild($("log"), shown, () => (shown.length ? shown.map(line) : [make("li", "muted", "Nothing yet.")]));
}

/** Show how to publish the first event, and why the last one was rejected. */
export function showFirst(health, rejected, copy) {
  const sources = Object.keys(health?.components ?? {}).filter(isSource);
  rebuild($("lines"), sources, () => sources.flatMap((name, index) => publishing(name, index, copy)));
  $("rejected").hidden = !rejected;
  if (!rejected) return;
  const { reason, time, source, detail, payload } = rejected;
  write($("rejected-why"), `${reason} at ${f.time(time)}, from ${source}. ${detail}`);
  write($("rejected-payload"), payload);
}

function publishing(name, index, copy) {
  const [kind, ...rest] = name.split(":");
  const target = rest.join(":");
  const isStream = kind === "stream";
  const line = isStream ? `redis-cli XADD ${target} MAXLEN '~' 1000000 '*' e ${EXAMPLE}` : `redis-cli PUBLISH ${target} ${EXAMPLE}`;
  const code = make("code", "", line);
  const button = make("button", "", "Copy");
  button.type = "button";
  button.setAttribute("aria-label", `Copy the ${isStream ? "XADD" : "PUBLISH"} line`);
  button.addEventListener("click", () => copy(code, button));
  const or = index ? [make("p", "or", "or:")] : [];
  return [...or, make("div", "copy", code, button)];
}

export function describeChart({ now, most, gaps }) {
  const counted = gaps ? `; ${gaps} seconds were not counted` : "";
  write($("chart-sum"), `Orders a second over the last 15 minutes: ${f.whole(now)} now, at most ${f.whole(most)}${counted}.`);
}

export function showChartTable(minutes) {
  const heads = ["from", "orders", "refused", "faults", "worst p99"].map((text) => {
    const head = make("th", "", text);
    head.scope = "col";
    return head;
  });
  const rows = minutes.map(({ from, total, refused, fault, worst }) => {
    const values = [f.time(from), f.whole(total), f.whole(refused), f.whole(fault), f.milliseconds(worst).join(" ")];
    return make("tr", "", ...values.map((value) => make("td", "", value)));
  });
  const table = make("table", "", make("caption", "sr", "Orders by minute"), make("tr", "", ...heads), ...rows);
  $("timeline-table").replaceChildren(table);
}

/** Title and icon carry the state for a tab in the background. */
export function showTab(scene) {
  if (document.title !== scene.title) document.title = scene.title;
  set($("icon"), "href", `page/icon-${scene.mark}.svg`);
}
