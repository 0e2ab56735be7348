// A sparkline is one SVG path; the timeline of 15 minutes is one canvas. Gaps stay gaps.

import { SECONDS } from "./series.js";

export const SVG = "http://www.w3.org/2000/svg";

const WIDTH = 100; // of the viewBox of a sparkline
const HEIGHT = 30;
const MARGIN = { left: 40, right: 6, top: 16, bottom: 16 };
const TICK_SECONDS = 180;
const COLOURS = ["c-ok", "c-refused", "c-fault", "c-p50", "c-p99", "band", "hatch", "line", "muted"];
const MEDIA = ["(prefers-color-scheme: dark)", "(forced-colors: active)", "(prefers-contrast: more)"];

/** Draw values into the paths of a line and of the area below it. */
export function spark(line, area, values) {
  const most = Math.max(1e-9, ...values.filter((value) => value !== null));
  const step = WIDTH / Math.max(1, values.length - 1);
  let lines = "";
  let areas = "";
  let begun = null;
  const close = () => {
    if (begun !== null) areas += `V${HEIGHT}H${begun}Z`;
    begun = null;
  };
  values.forEach((value, index) => {
    if (value === null) return close();
    const x = (index * step).toFixed(1);
    const y = (HEIGHT - 1 - (value / most) * (HEIGHT - 4)).toFixed(1);
    lines += `${begun === null ? "M" : "L"}${x} ${y}`;
    areas += begun === null ? `M${x} ${HEIGHT}V${y}` : `L${x} ${y}`;
    begun ??= x;
    return undefined;
  });
  close();
  line.setAttribute("d", lines);
  area.setAttribute("d", areas);
}

/** Round up to a number for an axis. */
export function nice(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10].map((factor) => factor * power).find((number) => number >= value);
}

export class Timeline {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    const restyle = () => {
      this.colours = null;
      this.redraw();
    };
    // Reading clientWidth while drawing would force a layout.
    new ResizeObserver(([entry]) => {
      this.width = entry.contentRect.width;
      this.height = entry.contentRect.height;
      restyle();
    }).observe(canvas);
    for (const query of MEDIA) matchMedia(query).addEventListener("change", restyle);
  }

  draw(series) {
    this.series = series;
    this.redraw();
  }

  redraw() {
    if (!this.series || !this.width) return;
    if (!this.colours) this.readColours();
    this.resize();
    this.context.clearRect(0, 0, this.width, this.height);
    this.context.font = this.font;
    this.measure();
    this.drawPhases();
    this.drawAxes();
    this.drawGaps();
    this.drawStack();
    this.drawLine(this.series.p50, "c-p50", []);
    this.drawLine(this.series.p99, "c-p99", [5, 3]);
    this.drawMarks();
  }

  readColours() {
    const style = getComputedStyle(this.canvas);
    const colours = Object.fromEntries(COLOURS.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
    if (matchMedia("(forced-colors: active)").matches) {
      const text = style.color;
      Object.assign(colours, { "c-ok": text, "c-p50": text, "c-p99": text, muted: text, "c-fault": "Highlight" });
      Object.assign(colours, { "c-refused": "GrayText", line: "GrayText", hatch: "GrayText", band: "transparent" });
    }
    this.font = `11px ${style.fontFamily}`;
    this.colours = colours;
    this.hatch = this.makeHatch();
  }

  makeHatch() {
    const tile = document.createElement("canvas");
    tile.width = 6;
    tile.height = 6;
    const context = tile.getContext("2d");
    context.strokeStyle = this.colours.hatch;
    context.moveTo(-1, 7);
    context.lineTo(7, -1);
    context.stroke();
    return this.context.createPattern(tile, "repeat");
  }

  resize() {
    const scale = devicePixelRatio || 1;
    const width = Math.round(this.width * scale);
    const height = Math.round(this.height * scale);
    if (this.canvas.width !== width) this.canvas.width = width;
    if (this.canvas.height !== height) this.canvas.height = height;
    this.context.setTransform(scale, 0, 0, scale, 0, 0);
  }

  /** Lay out: orders above the split, durations below. */
  measure() {
    this.bottom = this.height - MARGIN.bottom;
    this.split = Math.round(MARGIN.top + (this.bottom - MARGIN.top) * 0.64);
    this.second = (this.width - MARGIN.left - MARGIN.right) / SECONDS;
    this.most = nice(Math.max(1, ...this.series.total));
    this.slowest = nice(Math.max(1, ...this.series.p99));
  }

  x(index) {
    return MARGIN.left + index * this.second;
  }

  orders(value) {
    return this.split - (value / this.most) * (this.split - MARGIN.top);
  }

  duration(value) {
    return this.bottom - (value / this.slowest) * (this.bottom - this.split - 8);
  }

  drawPhases() {
    this.series.phases.forEach(({ name, from, to }, number) => {
      const start = Math.max(0, from - this.series.first);
      const end = Math.min(SECONDS, (to ?? Infinity) - this.series.first);
      if (end <= start) return;
      if (number % 2 === 0) this.fill("band", this.x(start), MARGIN.top, (end - start) * this.second, this.bottom - MARGIN.top);
      if ((end - start) * this.second > 30) this.write(name, this.x(start) + 4, 11);
    });
  }

  drawAxes() {
    const { context, split, bottom } = this;
    context.strokeStyle = this.colours.line;
    context.lineWidth = 1;
    context.beginPath();
    for (const y of [MARGIN.top, (MARGIN.top + split) / 2, split, split + 8, bottom]) {
      context.moveTo(MARGIN.left, Math.round(y) + 0.5);
      context.lineTo(this.width - MARGIN.right, Math.round(y) + 0.5);
    }
    context.stroke();
    const beside = MARGIN.left - 5;
    this.write(axis(this.most), beside, MARGIN.top + 6, "right");
    this.write(axis(this.most / 2), beside, (MARGIN.top + split) / 2 + 4, "right");
    this.write(axis(this.slowest), beside, split + 17, "right");
    this.write("ms", beside, bottom, "right");
    for (let index = 0; index < SECONDS; index += 1) {
      const second = this.series.first + index;
      if (second % TICK_SECONDS) continue;
      const clock = new Date(second * 1000).toTimeString().slice(0, 5);
      this.write(clock, Math.max(MARGIN.left, this.x(index) - 14), this.height - 3);
      this.fill("muted", this.x(index), bottom, 1, 3);
    }
  }

  /** Hatch the seconds that were not counted, and say where counting began. */
  drawGaps() {
    const began = this.series.since - this.series.first;
    if (began > 0 && began < SECONDS) {
      const words = "counting began";
      const room = this.context.measureText(words).width;
      if (this.x(began) - MARGIN.left > room + 8) this.write(words, this.x(began) - room - 6, this.bottom - 6);
      this.fill("muted", Math.round(this.x(began)) - 1, MARGIN.top, 1, this.bottom - MARGIN.top);
    }
    this.context.fillStyle = this.hatch;
    let index = 0;
    while (index < SECONDS) {
      let end = index;
      while (end < SECONDS && this.series.isGap(end)) end += 1;
      if (end > index) {
        this.context.fillRect(this.x(index), MARGIN.top, (end - index) * this.second, this.bottom - MARGIN.top);
      }
      index = end + 1;
    }
  }

  /** Stack the outcomes by rectangles on whole pixels: a path of 900 takes ten times as long without a GPU. */
  drawStack() {
    const { total, ok, refused, fault } = this.series;
    const plain = total.map((value, index) => ok[index] ?? value);
    const below = new Float32Array(SECONDS);
    for (const [colour, values] of [["c-ok", plain], ["c-refused", refused], ["c-fault", fault]]) {
      this.context.fillStyle = this.colours[colour];
      values.forEach((value, index) => {
        if (!value) return;
        const left = Math.round(this.x(index));
        const width = Math.max(1, Math.round(this.x(index + 1)) - left);
        const top = this.orders(below[index] + value);
        const height = this.orders(below[index]) - top;
        this.context.fillRect(left, top, width, colour === "c-fault" ? Math.max(height, 1.5) : height);
        below[index] += value;
      });
    }
  }

  drawLine(values, colour, dash) {
    const { context } = this;
    context.strokeStyle = this.colours[colour];
    context.lineWidth = 1.5;
    context.setLineDash(dash);
    context.beginPath();
    let joined = false;
    values.forEach((value, index) => {
      if (value !== null && joined) context.lineTo(this.x(index), this.duration(value));
      else if (value !== null) context.moveTo(this.x(index), this.duration(value));
      joined = value !== null;
    });
    context.stroke();
    context.setLineDash([]);
  }

  drawMarks() {
    for (const { t, text } of this.series.marks) {
      const index = t - this.series.first;
      if (index < 0 || index > SECONDS) continue;
      this.fill("muted", Math.round(this.x(index)), MARGIN.top, 1, this.bottom - MARGIN.top);
      const room = this.width - MARGIN.right - this.context.measureText(text).width;
      this.write(text, Math.min(this.x(index) + 3, room), MARGIN.top + 10);
    }
  }

  fill(colour, x, y, width, height) {
    this.context.fillStyle = this.colours[colour];
    this.context.fillRect(x, y, width, height);
  }

  write(text, x, y, align = "left") {
    this.context.fillStyle = this.colours.muted;
    this.context.textAlign = align;
    this.context.fillText(text, x, y);
  }
}

function axis(value) {
  return value >= 1000 ? `${value / 1000}k` : String(value);
}
