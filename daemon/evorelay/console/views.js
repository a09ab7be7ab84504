// Which view is shown: the address says it after the #, the navigation lists those one may see.

import { BackupsView } from "./backups-view.js";
import { $, build } from "./dom.js";
import { icon } from "./icons.js";
import { InstancesView } from "./instances-view.js";
import { OutboxView } from "./outbox-view.js";
import { Overview } from "./overview.js";
import { QuarantineView } from "./quarantine-view.js";
import { texts } from "./texts.js";

const INBOX = "inbox";
const OPERATIONS = {
  overview: Overview, instances: InstancesView, outbox: OutboxView, quarantine: QuarantineView, backups: BackupsView,
};
const OPERATORS = ["supervisor", "admin"];
const COUNTED_EVERY_MS = 30_000;

export const NAMES = [INBOX, ...Object.keys(OPERATIONS)];
export const addressOf = (name, detail) => `#/${name}${detail ? `/${detail}` : ""}`;

export class Views {
  // `onInbox` is called with the id of the ticket in the address, or null, and whether another view
  // was shown before.
  constructor(context, onInbox) {
    this.context = { ...context, count: (now) => this.count(now) };
    this.onInbox = onInbox;
    this.role = null;
    this.views = {};
    this.counts = {};
    this.shown = null;
    this.onHash = () => this.route();
    addEventListener("hashchange", this.onHash);
    this.draw();
    this.route();
  }

  close() {
    removeEventListener("hashchange", this.onHash);
    clearInterval(this.timer);
    this.views[this.shown]?.close();
    this.role = null;
    this.draw();
  }

  get isOperator() { return OPERATORS.includes(this.role); }

  // The daemon has said what we may do. It decides; this only hides what would be refused.
  allow(role) {
    if (role === this.role) return;
    this.views[this.shown]?.close();
    this.shown = null;
    this.role = role;
    const context = { ...this.context, role };
    this.views = this.isOperator
      ? Object.fromEntries(Object.entries(OPERATIONS).map(([name, Class]) => [name, new Class(context)]))
      : {};
    clearInterval(this.timer);
    if (this.isOperator) {
      this.timer = setInterval(() => this.readCounts(), COUNTED_EVERY_MS);
      this.readCounts();
    }
    this.draw();
    this.route();
  }

  route() {
    const [, name, detail] = location.hash.match(/^#\/([a-z]+)(?:\/([\w-]+))?$/) ?? [];
    const isKnown = name === INBOX || name in OPERATIONS;
    if (isKnown && name !== INBOX && this.role === null) return; // whether we may is not known yet
    const wanted = isKnown && (name === INBOX || this.views[name]) ? name : INBOX;
    if (this.shown !== wanted) this.views[this.shown]?.close();
    const isNew = this.shown !== wanted;
    this.shown = wanted;
    document.body.dataset.view = wanted;
    for (const section of $("main").children) section.hidden = section.id !== (wanted === INBOX ? "desk" : `view-${wanted}`);
    document.title = wanted === INBOX ? "EvoRelay" : `${texts.views[wanted]} · EvoRelay`;
    if (wanted === INBOX) this.onInbox(name === INBOX && detail ? detail : null, isNew);
    else {
      this.views[wanted].open(detail);
      const isLost = document.activeElement === document.body; // what had the focus was drawn anew
      if (isNew || isLost) this.views[wanted].head.querySelector("h2").focus({ preventScroll: true });
    }
    this.mark();
  }

  // What waits for somebody, as numbers beside the names; `now` as /v1/overview has it.
  count({ dead_letters, quarantine, instances }) {
    this.counts = { outbox: dead_letters, quarantine, instances: instances.close };
    this.drawCounts();
  }

  drawCounts() {
    for (const link of $("views").querySelectorAll("a")) {
      const count = this.counts[link.dataset.view];
      link.querySelector(".badge").textContent = count > 99 ? "99+" : count || "";
      link.querySelector(".badge").title = count ? texts.someoneNeeded(count) : "";
    }
  }

  async readCounts() {
    if (document.hidden || this.shown === "overview") return;
    try {
      const { now } = await this.context.rest.get("/v1/overview?minutes=1");
      this.count(now);
    } catch (problem) {
      if ([403, 404].includes(problem.status)) clearInterval(this.timer); // as it would be again
    }
  }

  // For another language.
  redraw() {
    this.draw();
    this.mark();
    this.views[this.shown]?.redraw();
  }

  draw() {
    const nav = $("views");
    nav.hidden = !this.isOperator;
    nav.replaceChildren(...(this.isOperator ? NAMES : []).map((name) => build("a", { href: addressOf(name) },
      icon(name), build("span", {}, texts.views[name]), build("b", { className: "badge" }))));
    [...nav.children].forEach((link, index) => { link.dataset.view = NAMES[index]; });
    this.drawCounts();
  }

  mark() {
    for (const link of $("views").children) {
      if (link.dataset.view === this.shown) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
  }
}
