// Numbers, durations and times as words. Pure.

export const NONE = "–";
export const LONGEST_NAME = 24; // characters of a product that are shown whole

// Formatters are made once: a constructor call costs 30 µs.
const grouped = new Intl.NumberFormat("en-US");
const compact = new Intl.NumberFormat("en-US", { notation: "compact", maximumSignificantDigits: 3 });
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

const twoDigits = (number) => String(number).padStart(2, "0");

export function isMissing(value) {
  return value === null || value === undefined || Number.isNaN(value);
}

export function whole(value) {
  return isMissing(value) ? NONE : grouped.format(Math.round(value));
}

/** Six digits as they are, more as 1.23M: what fits a tile. */
export function fits(value) {
  return isMissing(value) || Math.abs(value) < 1e6 ? whole(value) : compact.format(value);
}

export function rate(value) {
  return !isMissing(value) && value > 0 && value < 10 ? value.toFixed(1) : whole(value);
}

export function percent(share, digits = 2) {
  if (isMissing(share)) return NONE;
  if (share > 0 && share < 1e-4) return "< 0.01";
  const value = share * 100;
  return value.toFixed(value >= 10 ? Math.min(digits, 1) : digits);
}

/** Completeness is never rounded up to 100. */
export function complete(ratio) {
  return ratio === 1 ? "100" : (Math.floor(ratio * 1e4) / 100).toFixed(2);
}

/** A duration in milliseconds, as number and unit. */
export function milliseconds(value) {
  if (isMissing(value)) return [NONE, ""];
  if (value < 10) return [value.toFixed(1), "ms"];
  return value < 10000 ? [whole(value), "ms"] : [(value / 1000).toFixed(1), "s"];
}

/** A duration, exact to the second up to an hour. */
export function span(seconds) {
  const all = Math.max(0, Math.round(seconds));
  const minutes = Math.floor(all / 60);
  if (all < 60) return `${all} s`;
  if (all >= 3600) return `${Math.floor(all / 3600)} h ${minutes % 60} min`;
  return all % 60 ? `${minutes} min ${all % 60} s` : `${minutes} min`;
}

/** An estimate, with two significant digits: no false seconds. */
export function about(seconds) {
  if (seconds >= 3600) return "> 1 h";
  if (seconds >= 600) return `${Math.round(seconds / 60)} min`;
  if (seconds > 97) return `${(seconds / 60).toFixed(1)} min`;
  if (seconds >= 20) return `${Math.round(seconds / 5) * 5} s`;
  return `${Math.max(1, Math.round(seconds))} s`;
}

/** An estimate with its band, such as "2.5 min (1.9–3.2)": one unit for all three. */
export function band(seconds, low, high) {
  const estimate = about(seconds);
  if (isMissing(low) || isMissing(high) || seconds >= 3600) return estimate;
  if (high > 4 * low) return `over ${about(low)}`;
  const bound = estimate.endsWith("min") ? inMinutes : Math.round;
  return `${estimate} (${bound(low)}–${bound(high)})`;
}

function inMinutes(seconds) {
  const minutes = seconds / 60;
  return minutes >= 10 ? Math.round(minutes) : minutes.toFixed(1);
}

/** A countdown, such as 16:48 or 1:02:03. */
export function countdown(seconds) {
  const all = Math.abs(Math.round(seconds));
  const hours = all >= 3600 ? `${Math.floor(all / 3600)}:` : "";
  return hours + twoDigits(Math.floor((all % 3600) / 60)) + ":" + twoDigits(all % 60);
}

export function time(unix) {
  return isMissing(unix) ? NONE : clock.format(unix * 1000);
}

/** Group the digits of "912186.00", which never becomes a float. */
export function money(text) {
  const match = /^(-?)(\d+)(\..*)?$/.exec(text);
  if (!match) return text;
  const [, sign, digits, rest = ""] = match;
  return sign + digits.replace(/\B(?=(\d{3})+$)/g, ",") + rest;
}
