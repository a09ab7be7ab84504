// One chart over time: uPlot in the page's own colours, with a legend that says the numbers.

import { build } from "./dom.js";
import { clock, moment, texts } from "./texts.js";

const HEIGHT_PX = 150;
const WHOLE = [1, 2, 5].flatMap((step) => [0, 1, 2, 3, 4, 5, 6].map((zeros) => step * 10 ** zeros)).sort((a, b) => a - b);
const DASHES = [undefined, [5, 4]]; // the second line is told by more than its colour
const COLOURS = ["--chart-1", "--chart-2"];

export class Chart {
  // `lines` are the labels of at most two series; `format` writes one value.
  constructor(title, lines, format) {
    Object.assign(this, { title, lines, format, at: null });
    this.data = [[], ...lines.map(() => [])];
    this.values = lines.map(() => build("b"));
    this.moment = build("span", { className: "faint at" });
    this.canvas = build("div", { className: "canvas", role: "img" });
    this.nothing = build("p", { className: "nothing faint" }, texts.noData);
    this.canvas.append(this.nothing);
    const legend = lines.map((label, index) => build("span", { className: "line" },
      build("i", { className: `swatch swatch-${index + 1}`, "aria-hidden": "true" }), `${label} `, this.values[index]));
    this.node = build("figure", {},
      build("figcaption", {}, build("strong", {}, title), ...legend, this.moment), this.canvas);
    this.resized = new ResizeObserver(() => this.resize());
    this.resized.observe(this.canvas);
    this.recolour = () => this.plot?.redraw(false, true);
    document.addEventListener("themechange", this.recolour);
  }

  close() {
    this.resized.disconnect();
    document.removeEventListener("themechange", this.recolour);
    this.plot?.destroy();
  }

  // `times` in Unix seconds; each series as long, null where nothing is known.
  show(times, ...series) {
    this.data = [times, ...series];
    this.nothing.hidden = series.some((values) => values.some((value) => value !== null));
    this.plot?.setData(this.data);
    this.canvas.setAttribute("aria-label", this.inWords());
    this.say();
  }

  // There is no width to draw in before the page has been laid out.
  resize() {
    const width = this.canvas.clientWidth;
    if (!width) return;
    if (this.plot) this.plot.setSize({ width, height: HEIGHT_PX });
    else this.plot = new globalThis.uPlot(this.options(width), this.data, this.canvas);
  }

  options(width) {
    const axis = (extra) => ({
      stroke: () => this.colour("--faint"),
      grid: { stroke: () => this.colour("--line"), width: 1 },
      ticks: { show: false },
      font: "11px system-ui, sans-serif",
      ...extra,
    });
    return {
      width,
      height: HEIGHT_PX,
      padding: [8, 28, 0, 0],
      legend: { show: false },
      cursor: { sync: { key: "overview" }, drag: { x: false, y: false }, y: false },
      scales: { y: { range: (_, __, max) => [0, Math.max(1, (max ?? 0) * 1.1)] } },
      axes: [
        axis({ space: 60, size: 24, values: (_, splits) => splits.map((at) => clock(at * 1000)) }),
        axis({ space: 28, size: 50, incrs: WHOLE, values: (_, splits) => splits.map((value) => this.format(value)) }),
      ],
      series: [{}, ...this.lines.map((label, index) => ({
        label,
        stroke: () => this.colour(COLOURS[index]),
        width: 2,
        dash: DASHES[index],
        points: { show: false, filter: (plot, series) => alone(plot.data[series]) },
      }))],
      hooks: { setCursor: [({ cursor: { idx } }) => { this.at = idx ?? null; this.say(); }] },
    };
  }

  // A canvas takes no variables: what one is in the theme of now.
  colour(name) {
    this.moment.style.color = `var(${name})`;
    const { color } = getComputedStyle(this.moment);
    this.moment.style.color = "";
    return color;
  }

  // The numbers under the pointer; without one, the latest.
  say() {
    const [times, ...series] = this.data;
    const at = this.at ?? times.length - 1;
    series.forEach((values, index) => { this.values[index].textContent = this.format(values[at] ?? null); });
    this.moment.textContent = this.at === null || !times.length ? "" : moment(times[at] * 1000);
  }

  // For who does not see it.
  inWords() {
    const [, ...series] = this.data;
    const said = series.map((values, index) => {
      const known = values.filter((value) => value !== null);
      return known.length
        ? texts.chartLine(this.lines[index], this.format(known.at(-1)), this.format(Math.max(...known)))
        : `${this.lines[index]}: ${texts.noData}`;
    });
    return `${this.title}. ${said.join("; ")}`;
  }
}

// Values with nothing known on either side: a line does not show them.
function alone(values) {
  const isGap = (index) => values[index] === null || values[index] === undefined;
  return [...values.keys()].filter((at) => !isGap(at) && isGap(at - 1) && isGap(at + 1));
}
