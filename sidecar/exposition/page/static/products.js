// The table of products: keyed rows, sorted seldom, so that they do not jump under the finger.

import * as f from "./format.js";
import { $, classes, make, makeMark, set, setMark, write } from "./dom.js";

const SHOWN = 100;
const URGENT = 5; // on a phone, before "show all"
const SORT_MS = 2000;
const CALM_SORT_MS = 10000;
const TAIL = 8; // ids differ at their end
const WORDS = { ok: "ok", attention: "attention", critical: "critical", done: "sold out", unknown: "unknown" };

const rows = new Map();
let sortedAt = -Infinity;

/** `held`: rows stay where they are; `calm`: less motion is wanted. */
export function showProducts(products, { at, held, calm, frozen, filter }) {
  const wanted = filter ? products.filter((product) => product.id.toLowerCase().includes(filter)) : products;
  const shown = wanted.slice(0, SHOWN);
  const changed = keepRows(shown);
  for (const product of shown) update(rows.get(product.id), product, frozen);
  explain(products, wanted.length - shown.length);
  const due = at - sortedAt >= (calm ? CALM_SORT_MS : SORT_MS) && !held;
  if (!changed && !due) return;
  sortedAt = at;
  sort(shown);
  offerAll(shown.length);
}

function keepRows(shown) {
  const ids = new Set(shown.map((product) => product.id));
  let changed = false;
  for (const [id, row] of rows) {
    if (ids.has(id)) continue;
    row.tr.remove();
    rows.delete(id);
    changed = true;
  }
  for (const id of ids) {
    if (rows.has(id)) continue;
    rows.set(id, makeRow(id));
    $("rows").append(rows.get(id).tr);
    changed = true;
  }
  return changed;
}

function makeRow(id) {
  const row = {
    tr: make("tr"),
    mark: makeMark("ok"),
    bar: make("i"),
    head: make("td"),
    units: make("td", "num"),
    rate: make("td", "num"),
    eta: make("td", "eta"),
  };
  row.head.append(make("span", "name", row.mark, name(id)));
  row.head.title = id;
  row.head.setAttribute("role", "rowheader");
  const left = make("td", "", make("div", "bar", row.bar));
  for (const cell of [left, row.units, row.rate, row.eta]) cell.setAttribute("role", "cell");
  row.tr.setAttribute("role", "row");
  row.tr.append(row.head, left, row.units, row.rate, row.eta);
  return row;
}

/** Cut a long name in the middle. */
function name(id) {
  if (id.length <= f.LONGEST_NAME) return make("span", "id", make("span", "head-of-id", id));
  return make("span", "id", make("span", "head-of-id", id.slice(0, -TAIL)), make("span", "", id.slice(-TAIL)));
}

function update(row, product, frozen) {
  classes(row.tr, "", product.mark);
  setMark(row.mark, product.mark);
  // Two spans in a flex box would be read as two words.
  set(row.head, "aria-label", `${product.id}, ${WORDS[product.mark]}`);
  const scale = `scaleX(${share(product).toFixed(3)})`;
  if (row.bar.style.transform !== scale) row.bar.style.transform = scale;
  const { left, of, units } = product;
  write(row.units, left === null ? `${f.whole(units)} sold` : `${f.whole(left)} of ${f.whole(of)}`);
  const moves = product.state !== "sold_out" && !f.isMissing(product.rate);
  row.rate.classList.toggle("none", !moves);
  write(row.rate, moves ? f.rate(product.rate) : "");
  write(row.eta, frozen ? "unknown" : product.when);
}

function share({ left, of }) {
  return of ? Math.max(0, Math.min(1, left / of)) : 0;
}

function explain(products, hidden) {
  const text = products.length ? `and ${f.whole(hidden)} more: filter to find one` : "No event has named a product yet.";
  $("more").hidden = products.length > 0 && hidden <= 0;
  write($("more"), text);
}

function sort(shown) {
  let next = $("rows").firstChild;
  shown.forEach((product, index) => {
    const { tr } = rows.get(product.id);
    if (tr === next) next = next.nextSibling;
    else $("rows").insertBefore(tr, next);
    tr.toggleAttribute("data-extra", index >= URGENT);
  });
}

function offerAll(count) {
  const all = "all" in document.body.dataset;
  $("all").hidden = count <= URGENT;
  write($("all"), all ? `Show the ${URGENT} most urgent` : `Show all ${count}`);
  set($("all"), "aria-expanded", String(all));
}

/** Sort at the next update, whatever the time. */
export function sortSoon() {
  sortedAt = -Infinity;
}
