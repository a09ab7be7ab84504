// How the whole relay is: numbers of now, the last minutes or hours as charts, and health.

import { Chart } from "./charts.js";
import { Checks } from "./checks.js";
import { build } from "./dom.js";
import { duration, milliseconds, number, texts } from "./texts.js";
import { Tiles } from "./tiles.js";
import { View } from "./view.js";

const EVERY_MS = 5000;
const STEPS_MIN = 18;
const SPANS = [60, 360, 1440]; // minutes

// Of the series of /v1/overview; the second name is the label in `texts.lines`.
const CHARTS = [
  ["messages", ["received", "sent"], number],
  ["latency", ["p50_ms", "p99_ms"], milliseconds],
  ["connections", ["connections"], number],
  ["queues", ["journal_lag", "replies_waiting"], number],
  ["ages", ["oldest_reply_seconds"], duration],
  ["recovered", ["recovered"], number],
];

export class Overview extends View {
  constructor(context) {
    super("overview", context, EVERY_MS);
    this.minutes = SPANS[0];
    this.charts = [];
  }

  async load() {
    const asked = this.minutes;
    const [overview, health] = await Promise.allSettled([
      this.rest.get(`/v1/overview?minutes=${asked}`),
      this.rest.get("/health", { also: [503] }),
    ]);
    if (asked !== this.minutes) return;
    if (health.status === "fulfilled") this.health = health.value;
    if (overview.status === "fulfilled") this.overview = overview.value;
    // A daemon of before /v1/overview still says how well it is.
    this.isMissing = overview.reason?.status === 404;
    for (const { reason } of [overview, health]) if (reason && reason.status !== 404) throw reason;
  }

  actions() {
    const choice = build("select", { "aria-label": texts.span, onchange: () => {
      this.minutes = Number(choice.value);
      this.poll.now();
    } }, SPANS.map((minutes) => build("option", { value: minutes, selected: minutes === this.minutes }, texts.lastHours(minutes / 60))));
    return [choice];
  }

  begin() {
    this.endCharts();
    this.tiles = new Tiles();
    this.checks = new Checks();
    this.charts = CHARTS.map(([name, lines, format]) =>
      new Chart(texts.charts[name], lines.map((line) => texts.lines[line]), format));
    this.missing = build("p", { className: "notice", hidden: true }, texts.noOverview);
    this.body.append(this.missing, this.tiles.node,
      build("div", { className: "charts" }, this.charts.map(({ node }) => node)), this.checks.node);
  }

  close() {
    super.close();
    this.endCharts();
  }

  endCharts() {
    for (const chart of this.charts) chart.close();
    this.charts = [];
  }

  drawBody() {
    this.missing.hidden = !this.isMissing;
    if (this.health) this.checks.show(this.health);
    if (!this.overview) return;
    const { now, series } = this.overview;
    this.tiles.show(now);
    this.count(now);
    const start = Date.parse(series.start) / 1000;
    const from = firstStep(series);
    const times = series.received.map((_, index) => start + index * series.step_seconds).slice(from);
    this.charts.forEach((chart, index) => chart.show(times, ...CHARTS[index][1].map((line) => series[line].slice(from))));
  }
}

// Of a daemon that has just been started, the minutes since then fill the charts.
function firstStep({ connections }) {
  const first = connections.findIndex((value) => value !== null);
  return Math.max(0, Math.min(first, connections.length - STEPS_MIN));
}
