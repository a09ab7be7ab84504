// A list that is read by pages, newest first, and read again while somebody looks.

import { build, button, keep } from "./dom.js";
import { because } from "./pieces.js";
import { texts } from "./texts.js";

const PAGE = 50;
const AGAIN_MAX = 200; // rows that are read again; those below them stay as they were read
const KEPT_MAX = 1000;

export class Pages {
  // `path` gives the address without paging, `field` is what the answer calls the list, `line`
  // makes the element of one item; `stateOf` is what of the page itself it shows.
  constructor(rest, { path, field, line, stateOf = () => null, nothing }) {
    Object.assign(this, { rest, path, field, line, stateOf, nothing });
    this.reset();
  }

  reset() {
    this.items = [];
    this.cursor = null;
    this.problem = null;
    this.generation = {}; // another one: an answer to an earlier question is of no use
  }

  // The elements, anew: for another language.
  begin() {
    this.list = build("ul", { className: "rows" });
    this.none = build("div", { hidden: true }, this.nothing());
    this.moreButton = button(texts.moreRows, () => this.more());
    this.foot = build("p", { className: "foot" }, this.moreButton, build("span", { role: "status" }));
    return [this.none, this.list, this.foot];
  }

  // Returns the answer, for what it says beside the list; null if it came too late.
  async load() {
    const { generation } = this;
    const limit = Math.min(AGAIN_MAX, Math.max(PAGE, this.items.length));
    const page = await this.read(limit, null);
    if (generation !== this.generation) return null;
    const fresh = page[this.field];
    const known = new Set(fresh.map(({ id }) => id));
    const below = this.items.slice(limit).filter(({ id }) => !known.has(id));
    this.items = [...fresh, ...below];
    if (!below.length) this.cursor = page.next_cursor;
    return page;
  }

  async more() {
    const { generation, cursor } = this;
    this.moreButton.disabled = true;
    try {
      const page = await this.read(PAGE, cursor);
      if (generation !== this.generation) return;
      const known = new Set(this.items.map(({ id }) => id));
      this.items.push(...page[this.field].filter(({ id }) => !known.has(id)));
      Object.assign(this, { cursor: page.next_cursor, problem: null });
    } catch (problem) {
      this.problem = problem;
    } finally {
      this.moreButton.disabled = false;
    }
    this.draw();
  }

  read(limit, cursor) {
    const path = this.path();
    const query = new URLSearchParams({ limit, ...(cursor && { cursor }) });
    return this.rest.get(`${path}${path.includes("?") ? "&" : "?"}${query}`);
  }

  draw() {
    keep(this.list, this.items.map((item) => ({
      key: JSON.stringify([item, this.stateOf(item)]),
      id: item.id,
      make: () => this.line(item),
    })));
    this.none.hidden = this.items.length > 0;
    this.moreButton.hidden = this.cursor === null || this.items.length >= KEPT_MAX;
    this.foot.lastChild.textContent = this.problem ? texts.failed(because(this.problem)) : "";
  }
}
