// The overview's numbers: each with its word, and a sign where somebody is needed.

import { build } from "./dom.js";
import { icon } from "./icons.js";
import { duration, milliseconds, number, texts } from "./texts.js";

const JOURNAL_LATE_S = 10; // as health judges it
const REPLY_LATE_S = 60;

// Each says of `now` (of /v1/overview) its value, a word more, and how that is: undefined is "just
// a number". `to` is the view that has more.
const TILES = {
  received: { value: (now) => number(now.received_per_minute, 1), more: () => texts.perMinute },
  sent: { value: (now) => number(now.sent_per_minute, 1), more: () => texts.perMinute },
  latency: { value: (now) => milliseconds(now.p50_ms), more: (now) => `p99 ${milliseconds(now.p99_ms)}` },
  connections: { value: (now) => number(now.connections), more: () => texts.agentsConnected },
  journal: {
    value: (now) => number(now.journal_lag),
    more: (now) => texts.oldest(duration(now.journal_age_seconds)),
    kind: (now) => (now.journal_age_seconds > JOURNAL_LATE_S ? "warn" : "ok"),
  },
  replies: {
    to: "outbox",
    value: (now) => number(now.replies_waiting),
    more: (now) => texts.oldest(duration(now.oldest_reply_seconds)),
    kind: (now) => (now.oldest_reply_seconds > REPLY_LATE_S ? "warn" : "ok"),
  },
  deadLetters: {
    to: "outbox/failed",
    value: (now) => number(now.dead_letters),
    more: (now) => texts.someoneNeeded(now.dead_letters),
    kind: (now) => unless(now.dead_letters),
  },
  quarantine: {
    to: "quarantine",
    value: (now) => number(now.quarantine),
    more: (now) => texts.someoneNeeded(now.quarantine),
    kind: (now) => unless(now.quarantine),
  },
  recovered: { value: (now) => number(now.recovered_total), more: () => texts.sinceStart },
  gaps: {
    value: (now) => number(now.gaps_total),
    more: (now) => (now.gaps_total ? texts.gapsFound : texts.noGaps),
    kind: (now) => (now.gaps_total ? "bad" : "ok"),
  },
  unknown: { value: (now) => number(now.unknown_outcomes_total), more: () => texts.sinceStart },
  instances: {
    to: "instances",
    value: ({ instances }) => texts.outOf(number(instances.open), number(sum(instances))),
    more: ({ instances }) => (sum(instances) ? texts.instanceStates(instances) : texts.noneYet),
    kind: ({ instances }) => sum(instances) && (instances.close ? "bad" : instances.connecting || instances.unknown ? "warn" : "ok"),
  },
};

export class Tiles {
  constructor() {
    this.tiles = Object.entries(TILES).map(([name, rules]) => new Tile(name, rules));
    this.node = build("ul", { className: "tiles" }, this.tiles.map(({ node }) => node));
  }

  show(now) { for (const tile of this.tiles) tile.show(now); }
}

// Its elements stay, so that nothing moves and the focus does not either.
class Tile {
  constructor(name, { to, value, more, kind }) {
    Object.assign(this, { value, more, kind });
    this.sign = build("span", { className: "mark" });
    this.number = build("b", {}, "–");
    this.beside = build("span", { className: "faint more-said" }, "\u00a0");
    const label = build("span", { className: "label" }, texts.tiles[name]);
    const parts = [build("span", { className: "top" }, label, this.sign), this.number, this.beside];
    this.node = build("li", { title: texts.tileHelp[name] },
      to ? build("a", { href: `#/${to}` }, parts) : build("div", {}, parts));
    this.node.dataset.tile = name;
  }

  show(now) {
    this.number.textContent = this.value(now);
    this.beside.textContent = this.more(now) || "\u00a0";
    const kind = this.kind?.(now);
    if (!kind || kind === this.sign.dataset.kind) return;
    this.sign.dataset.kind = kind;
    this.sign.replaceChildren(icon(kind), build("span", { className: "unseen" }, texts.kinds[kind]));
  }
}

// Of a list that should be empty; null is one that was not counted yet.
function unless(count) {
  if (count === null) return undefined;
  return count ? "warn" : "ok";
}

const sum = (counts) => Object.values(counts).reduce((all, one) => all + one, 0);
