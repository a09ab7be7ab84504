// What health says, check by check: those that need somebody first, with their advice.

import { build, keep } from "./dom.js";
import { mark } from "./pieces.js";
import { bytes, duration, number, texts } from "./texts.js";

const KINDS = { pass: "ok", warn: "warn", fail: "bad" };
const ORDER = ["fail", "warn", "pass"];

export class Checks {
  constructor() {
    this.overall = build("span");
    this.list = build("ul", { className: "rows checks" });
    this.node = build("section", {}, build("h3", {}, texts.health, " ", this.overall), this.list);
  }

  // `health` is the answer of /health with a credential.
  show({ status, checks }) {
    if (this.status !== status) this.overall.replaceChildren(mark(KINDS[status] ?? "unknown", texts.checkStatus[status] ?? status));
    this.status = status;
    const all = Object.entries(checks).flatMap(([name, found]) => found.map((check) => ({ name, ...check })));
    all.sort((a, b) => ORDER.indexOf(a.status) - ORDER.indexOf(b.status));
    keep(this.list, all.map((check) => ({ key: JSON.stringify(check), make: () => line(check) })));
  }
}

function line({ name, status, componentId, observedValue, observedUnit, output }) {
  return build("li", { "data-check": name },
    mark(KINDS[status] ?? "unknown", texts.checkStatus[status] ?? status),
    build("span", { className: "what", title: name }, texts.checks[name] ?? name,
      componentId && build("bdi", { className: "faint" }, componentId)),
    build("span", { className: "faint value" }, measured(observedValue, observedUnit)),
    output && build("p", { className: "advice" }, ...adviceOn(name, output)));
}

// In the reader's language where there are words for it; what the daemon says has the particulars.
function adviceOn(name, output) {
  const known = texts.advice[name];
  return [known && `${known} `, build("span", { className: known ? "faint" : "", lang: "en" }, output)].filter(Boolean);
}

function measured(value, unit) {
  if (typeof value !== "number") return "";
  if (unit === "bytes") return bytes(value);
  if (unit === "s") return value < 60 ? `${number(value, value < 1 ? 3 : 1)} s` : duration(value);
  return [number(value, 2), texts.units[unit] ?? unit].filter(Boolean).join(" ");
}
