// The page: feed -> model -> view, one paint a message. Start reading here.

import { Timeline } from "./chart.js";
import { $, write } from "./dom.js";
import { Feed } from "./feed.js";
import { saleOf, see } from "./model.js";
import { showProducts, sortSoon } from "./products.js";
import { METRICS, SECONDS, Series } from "./series.js";
import * as view from "./view.js";

const AGE_MS = 500;
const TITLE_MS = 5000;
const SPOKEN_MS = 30000;
const HISTORY_MS = 60000;
const REJECTED_MS = 3000;
const SALES_MS = 15000;
const COPIED_MS = 2000;
const LOGGED = 50;
const SECTIONS = ["verdict", "tiles", "products", "reasons-box", "money-box", "timeline", "log-box", "sources-box"];

const calm = matchMedia("(prefers-reduced-motion: reduce)");
const scope = new URLSearchParams(location.search).get("scope") === "fleet" ? "fleet" : "instance";
const series = new Series(Date.now() / 1000);
const timeline = new Timeline($("chart"));
const begunAt = performance.now();

let snapshot = null;
let health = null;
let rejected = null;
let sales = [];
let feedState = { status: "connecting" };
let receivedAt = { steady: 0, wall: 0 };
let pausedAt = 0;
let frame = 0;
let changed = true;
let drawnVersion = -1;
let titledAt = -Infinity;
let spokenAt = -Infinity;
let spokenState = "";
const mostStock = new Map();
const soldOut = new Set();
const log = [];

const feed = new Feed({ scope, onUpdate: take, onStatus: follow });

function take(update) {
  if (update.health) health = update.health;
  changed = true;
  const isFirst = !snapshot && update.snapshot;
  const wasStale = snapshot?.stale;
  if (update.snapshot) {
    snapshot = update.snapshot;
    receivedAt = { steady: performance.now(), wall: Date.now() };
    series.take(snapshot);
    watchStock(snapshot);
  } else if (health?.role === "standby") {
    snapshot = null;
  }
  if (isFirst || (wasStale && !snapshot?.stale)) backfill();
  if (isFirst) askSales();
  if (isFirst) askRejected();
  if (isFirst && scope === "instance") offerFleet();
  if (document.hidden) view.showTab(look()); // neither timers nor frames run in time there
  schedule();
}

function follow(status) {
  const reopened = status.status === "open" && feedState.status === "closed";
  feedState = status;
  if (reopened && snapshot) backfill();
  const locked = Boolean(status.wantsToken);
  write($("locked-why"), status.wasWrong ? "That token is wrong." : "");
  if ($("locked").hidden === locked) {
    $("locked").hidden = !locked;
    if (locked) $("token").focus();
  }
  changed = true;
  schedule();
}

/** Note what sells out and what comes back, and the most stock that was seen of each product. */
function watchStock({ inventory = {}, committed_at: at }) {
  for (const [id, { stock, sell_out: found }] of Object.entries(inventory)) {
    if (stock > (mostStock.get(id) ?? 0)) mostStock.set(id, stock);
    if (stock <= 0 && !soldOut.has(id)) {
      soldOut.add(id);
      note(found?.at ?? at, "done", `${id} sold out`);
    }
    if (stock > 0 && soldOut.delete(id)) note(at, "ok", `${id} is back: ${stock} units`);
  }
}

function note(at, mark, text) {
  log.unshift({ at, mark, text });
  log.sort((one, other) => other.at - one.at);
  log.length = Math.min(log.length, LOGGED);
}

async function backfill() {
  if (scope === "fleet") return; // the history is that of one sidecar
  const to = Math.floor(snapshot.ts);
  const metrics = METRICS.map((name) => `&metric=${name}`).join("");
  const history = await ask(`monitoring/history?from=${to - SECONDS + 1}&to=${to}${metrics}`);
  if (!history) return;
  series.fill(history, to);
  schedule();
}

async function askRejected() {
  if (!snapshot?.completeness.invalid || snapshot.orders.total) return;
  const answer = await ask("monitoring/rejected?limit=1");
  rejected = answer?.rejected[0] ?? null;
  changed = true;
  schedule();
}

/** Ask for the plans: title, times and marks are in no update. */
async function askSales() {
  if (feedState.status !== "open" || !snapshot) return;
  sales = (await ask("monitoring/sales"))?.sales ?? sales;
  series.marks = (saleOf(snapshot.sale, sales)?.markers ?? []).map(({ at, text }) => ({ t: at, text }));
  changed = true;
  schedule();
}

async function offerFleet() {
  const fleet = await ask("monitoring/metrics?scope=fleet");
  const members = fleet?.instances?.length ?? 0;
  $("to-fleet").hidden = members < 2;
  write($("to-fleet"), `Fleet of ${members}`);
}

/** Return an answer, or nothing: the feed says what is wrong. */
async function ask(path) {
  try {
    const answer = await feed.fetch(path);
    return answer.ok ? await answer.json() : null;
  } catch {
    return null;
  }
}

/** Return everything that is to be shown now. A laptop that slept stopped the steady clock, but not the other. */
function look() {
  const silent = (performance.now() - (snapshot ? receivedAt.steady : begunAt)) / 1000;
  const since = snapshot ? Math.max(silent, (Date.now() - receivedAt.wall) / 1000) : silent;
  const age = snapshot ? Math.max(0, snapshot.ts - (snapshot.committed_at ?? snapshot.ts)) + since : 0;
  const now = snapshot ? snapshot.ts + since : Date.now() / 1000;
  const known = snapshot && { ...snapshot, sale: saleOf(snapshot.sale, sales) };
  return see({ snapshot: known, health, feed: feedState, age, silent: since, now, mostStock });
}

function schedule() {
  if (frame || document.hidden) return;
  frame = requestAnimationFrame(() => {
    frame = 0;
    paint();
  });
}

function paint() {
  const scene = look();
  view.showStrip(scene, pausedAt ? (performance.now() - pausedAt) / 1000 : 0);
  const turned = scene.state !== document.body.dataset.state;
  if (pausedAt || !(changed || turned || scene.frozen || scene.state === "loading")) return;
  changed = false;
  view.showVerdict(scene);
  view.showAlerts(scene.alerts);
  view.showSources(health, snapshot?.completeness);
  showPart(scene);
  speak(scene);
  view.showLog(log);
}

/** Show the numbers, or how to publish the first event, or neither. */
function showPart(scene) {
  const waits = scene.state === "waiting";
  $("first").hidden = !waits;
  $("numbers").hidden = waits || !snapshot;
  if (waits) view.showFirst(health, rejected, copy);
  if (!snapshot) return;
  document.body.dataset.commit = snapshot.committed_at;
  if (waits) return;
  view.showTiles(scene.tiles, series.sparks());
  view.showReasons(scene.reasons);
  view.showMoney(scene.money);
  const table = $("products");
  const held = table.matches(":hover") || table.contains(document.activeElement);
  const filter = $("filter").value.toLowerCase();
  showProducts(scene.products, { at: performance.now(), held, calm: calm.matches, frozen: scene.frozen, filter });
  requestAnimationFrame(drawChart); // a frame of its own: tables and chart together take too long for one
}

function drawChart() {
  if (pausedAt || $("numbers").hidden || drawnVersion === series.version) return;
  drawnVersion = series.version;
  timeline.draw(series);
  view.describeChart(series.summary());
}

/** Say the sentence to a screen reader when the state changes, and seldom otherwise; the title changes as seldom. */
function speak(scene) {
  const now = performance.now();
  const turned = spokenState !== scene.state;
  if (turned || now - titledAt > TITLE_MS) {
    titledAt = now;
    view.showTab(scene);
  }
  if (!turned && now - spokenAt < SPOKEN_MS) return;
  if (spokenState && turned) note(Date.now() / 1000, scene.mark, scene.sentence);
  spokenAt = now;
  spokenState = scene.state;
  write($("spoken"), scene.sentence);
}

/** Copy a line. Browsers have no clipboard for plain http, but for this machine: there it is selected. */
async function copy(code, button) {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(code.textContent);
    write(button, "Copied");
  } else {
    getSelection().selectAllChildren(code);
    write(button, "Press Ctrl+C");
  }
  setTimeout(() => write(button, "Copy"), COPIED_MS);
}

function pause() {
  pausedAt = pausedAt ? 0 : performance.now();
  $("pause").setAttribute("aria-pressed", String(Boolean(pausedAt)));
  changed = true;
  drawnVersion = -1;
  schedule();
}

function refresh() {
  changed = true;
  sortSoon();
  schedule();
}

function showAll() {
  document.body.toggleAttribute("data-all");
  refresh();
}

function toggleChartTable() {
  const table = $("timeline-table");
  table.hidden = !table.hidden;
  $("as-table").setAttribute("aria-expanded", String(!table.hidden));
  if (!table.hidden) view.showChartTable(series.minutes());
}

function unlock(event) {
  event.preventDefault();
  write($("locked-why"), "");
  feed.authenticate($("token").value.trim());
  $("token").value = "";
}

function jump(number) {
  const section = $(SECTIONS[number - 1]);
  if (!section) return;
  section.scrollIntoView({ block: "start", behavior: calm.matches ? "auto" : "smooth" });
  (section.querySelector("summary, [tabindex='0'], button") ?? section).focus({ preventScroll: true });
}

function press(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("input")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (!$("keys-on").checked) return;
  if (event.key === "p") pause();
  else if (event.key === "?") $("help").showModal();
  else if (/^[1-9]$/.test(event.key)) jump(Number(event.key));
  else if (event.key === "/") {
    event.preventDefault();
    $("filter").focus();
  }
}

function listen() {
  $("pause").addEventListener("click", pause);
  $("keys").addEventListener("click", () => $("help").showModal());
  $("filter").addEventListener("input", refresh);
  $("all").addEventListener("click", showAll);
  $("as-table").addEventListener("click", toggleChartTable);
  $("locked").addEventListener("submit", unlock);
  addEventListener("keydown", press);
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return;
    drawnVersion = -1;
    if (snapshot) backfill();
    refresh();
  });
}

if (matchMedia("(max-width: 640px)").matches) {
  for (const details of document.querySelectorAll("details")) details.open = false;
}
$("to-instance").hidden = scope === "instance";
listen();
feed.start();
setInterval(schedule, AGE_MS); // the age grows
setInterval(askRejected, REJECTED_MS);
setInterval(askSales, SALES_MS);
setInterval(() => snapshot && feedState.status === "open" && backfill(), HISTORY_MS);
