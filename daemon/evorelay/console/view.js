// What every view of the operator's side has: a heading, an honest word for how fresh it is, and
// that it is read only while somebody looks.

import { $, build } from "./dom.js";
import { because } from "./pieces.js";
import { Poll } from "./poll.js";
import { clockWithSeconds, texts } from "./texts.js";

export class View {
  // `context` is { rest, role, ask, open, instances, trace }; subclasses have `load`, which reads,
  // and `drawBody`.
  constructor(name, context, everyMs) {
    Object.assign(this, context);
    this.name = name;
    this.root = $(`view-${name}`);
    this.poll = new Poll(() => this.load(), everyMs, () => this.draw());
    this.body = build("div", { className: "body" });
  }

  open() {
    this.redraw();
    this.poll.start();
  }

  close() { this.poll.stop(); }

  // For another language: everything anew.
  redraw() {
    this.fresh = build("p", { className: "fresh faint" });
    this.stale = build("p", { className: "stale", role: "status" });
    this.head = build("header", {},
      build("h2", { tabIndex: -1 }, texts.views[this.name]), this.fresh, ...this.actions());
    this.body.replaceChildren();
    this.root.replaceChildren(this.head, this.stale, this.body);
    this.begin();
    this.draw();
  }

  // What stands beside the heading.
  actions() { return []; }

  // Puts what stays into `body`, once.
  begin() {}

  draw() {
    const { at, problem } = this.poll;
    this.fresh.textContent = at === null ? texts.loading : texts.updated(clockWithSeconds(at));
    this.fresh.hidden = problem !== null;
    const said = problem && (at === null ? texts.failed(because(problem)) : texts.staleSince(clockWithSeconds(at), because(problem)));
    if (this.stale.textContent !== (said ?? "")) this.stale.textContent = said ?? "";
    this.root.classList.toggle("is-stale", problem !== null);
    if (at !== null) this.drawBody();
  }
}
