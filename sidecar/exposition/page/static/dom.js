// Writing into the page: text only by textContent, and a node only when its value changed.

import { SVG } from "./chart.js";

const written = new WeakMap();

export const $ = (id) => document.getElementById(id);

export function write(node, value) {
  if (written.get(node) === value) return;
  written.set(node, value);
  node.textContent = value;
}

export function set(node, name, value) {
  if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

/** Call `build` for new children when `value` differs from what the node was made of. */
export function rebuild(node, value, build) {
  const key = JSON.stringify(value);
  if (written.get(node) === key) return;
  written.set(node, key);
  node.replaceChildren(...build());
}

export function make(tag, className, ...children) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...children);
  return node;
}

export function makeSvg(tag, className, attributes = {}) {
  const node = document.createElementNS(SVG, tag);
  if (className) node.setAttribute("class", className);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

/** The shape of a status; its colour comes from the class `is-…` around it. */
export function makeMark(name) {
  const mark = makeSvg("svg", "mark", { "aria-hidden": "true" });
  mark.append(makeSvg("use", "", { href: `#m-${name}` }));
  return mark;
}

export function setMark(mark, name) {
  set(mark.firstChild, "href", `#m-${name}`);
}

export function classes(node, base, mark) {
  const value = `${base} is-${mark}`.trim();
  if (node.className !== value) node.className = value;
}
