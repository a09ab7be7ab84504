// The WhatsApp instances: a row where there is room for it, else a summary that opens a list.

import { $, element, oncePerFrame } from "./dom.js";
import { QrCode } from "./qrcode.js";
import { moment, texts } from "./texts.js";

const KEPT_MAX = 200; // two channels each, and one connection may have 512
const ROW_MAX = 6;
const LATELY_MS = 24 * 60 * 60 * 1000;
const ORDER = ["close", "connecting", "unknown", "open"];
const PHONE = matchMedia("(max-width: 45rem)");

export class Instances {
  // `onNew` is called once with the name of each instance that is followed here.
  constructor(onNew) {
    this.onNew = onNew;
    this.onChange = () => {}; // of whoever else shows them
    this.known = new Map();
    this.total = 0;
    this.qrcode = new QrCode();
    this.render = oncePerFrame(() => this.draw());
    addEventListener("resize", this.render);
    $("instances").onbeforetoggle = () => {
      const { left, bottom } = $("instances-summary").getBoundingClientRect();
      Object.assign($("instances").style, { left: `${left}px`, top: `${bottom + 6}px` });
    };
  }

  // Takes the whole list, as it was read.
  show(instances) {
    this.total = instances.length;
    instances.forEach((instance) => this.put(instance));
    this.render();
  }

  put(instance) {
    const isNew = !this.known.has(instance.name);
    if (isNew && this.known.size >= KEPT_MAX) return;
    this.known.set(instance.name, instance);
    if (isNew) this.onNew(instance.name);
    this.render();
  }

  close() {
    removeEventListener("resize", this.render);
    this.known.clear();
    this.total = 0;
    this.qrcode.close();
    this.draw();
  }

  draw() {
    const list = $("instances");
    const summary = $("instances-summary");
    const total = Math.max(this.total, this.known.size);
    const all = [...this.known.values()].sort(byNeed);
    const count = (state) => all.filter((instance) => instance.state === state).length;
    summary.textContent = texts.instances(total, count("close"), count("connecting"));
    summary.dataset.state = ORDER.find((state) => state !== "unknown" && count(state)) ?? "unknown";
    const focused = list.contains(document.activeElement) ? document.activeElement.dataset.name : null;
    const left = total - this.known.size;
    list.replaceChildren(...all.map((instance) => this.line(instance)));
    if (left > 0) list.append(element("li", "left", texts.instancesLeft(left)));
    this.collapse(total);
    if (focused) [...list.querySelectorAll("button")].find((one) => one.dataset.name === focused)?.focus();
    const scanned = this.known.get(this.qrcode.instance?.name);
    if (scanned?.state === "open") this.qrcode.close();
    else if (scanned) this.qrcode.update(scanned);
    this.onChange();
  }

  // Lists them on demand only: on a phone, and where a row would not hold them.
  collapse(total) {
    const [list, summary] = [$("instances"), $("instances-summary")];
    if (list.matches(":popover-open")) return;
    const hadFocus = document.activeElement === summary;
    list.popover = null;
    summary.hidden = true; // what a row would have room for
    const isFull = PHONE.matches || total > ROW_MAX || list.scrollWidth > list.clientWidth + 1;
    if (!isFull || total === 0) return;
    list.popover = "auto";
    summary.hidden = false;
    if (hadFocus) summary.focus();
  }

  line(instance) {
    const item = element("li");
    item.dataset.state = instance.state;
    item.append(element("bdi", "", instance.name), " ", element("span", "", stateOf(instance)));
    for (const [words, reason] of troublesOf(instance)) {
      const mark = element("span", "trouble", words);
      mark.title = reason;
      item.append(" ", mark);
    }
    if (instance.qrcode) {
      const button = element("button", "", texts.qrcode);
      button.type = "button";
      button.dataset.name = instance.name;
      button.onclick = () => this.qrcode.open(instance);
      item.append(" ", button);
    }
    return item;
  }
}

// What needs somebody comes first.
export function byNeed(a, b) {
  return ORDER.indexOf(a.state) - ORDER.indexOf(b.state) || (a.name < b.name ? -1 : 1);
}

// What its state does not say, each with the daemon's own sentence.
export function troublesOf({ suspicion, registration }) {
  const isMissing = registration && registration.state !== "ok";
  return [
    suspicion && [texts.suspected, suspicion],
    isMissing && [texts.unregistered, registration.detail],
  ].filter(Boolean);
}

// "disconnected since 14:02: the phone ended the session"
function stateOf({ state, state_since, cause, last_event_at }) {
  // Evolution reports a state only when it changes, so one that posts may never have told any.
  if (state === "unknown") {
    const isHeardOf = Date.now() - Date.parse(last_event_at) < LATELY_MS;
    return isHeardOf ? texts.unreported : texts.instance.unknown;
  }
  const said = `${texts.instance[state] ?? state} ${texts.since(moment(state_since))}`;
  return cause ? `${said}: ${causeOf(cause)}` : said;
}

export function causeOf(cause) {
  return texts.cause[cause] ?? (cause.startsWith("code_") ? texts.causeCode(cause.slice(5)) : cause);
}
