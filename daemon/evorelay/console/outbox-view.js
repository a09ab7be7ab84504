// Replies on their way out, and those that were given up: why, and once more.

import { agreed } from "./confirm.js";
import { build, button, keep } from "./dom.js";
import { Pages } from "./pages.js";
import { because, empty, fact, mark, timeOf } from "./pieces.js";
import { number, texts } from "./texts.js";
import { View } from "./view.js";

const EVERY_MS = 10_000;
const KINDS = { queued: "unknown", sending: "ok", unknown: "warn", failed: "bad", sent: "ok", kept: "ok" };

export class OutboxView extends View {
  constructor(context) {
    super("outbox", context, EVERY_MS);
    this.state = "waiting";
    this.said = new Map(); // by message: what became of the retry
    this.pages = new Pages(this.rest, {
      path: () => `/v1/outbox?state=${this.state}`,
      field: "outbox",
      line: (item) => this.line(item),
      stateOf: (item) => this.said.get(item.message_id) ?? null,
      nothing: () => (this.state === "failed"
        ? empty(texts.noDeadLetters, texts.noDeadLettersHelp)
        : empty(texts.nothingWaits, texts.nothingWaitsHelp)),
    });
  }

  // `state` may stand in the address: #/outbox/failed
  open(state) {
    this.choose(state === "failed" ? "failed" : "waiting");
    super.open();
  }

  choose(state) {
    if (state === this.state) return;
    this.state = state;
    this.pages.reset();
    this.poll.at = null;
  }

  async load() {
    const page = await this.pages.load();
    if (page) this.lanes = page.lanes;
  }

  actions() {
    const tabs = ["waiting", "failed"].map((state) => build("a", {
      href: state === "failed" ? "#/outbox/failed" : "#/outbox",
      "aria-current": String(state === this.state),
    }, texts.outboxTabs[state]));
    this.all = button(texts.retryAll, () => this.retryAll());
    return [build("span", { className: "tabs" }, tabs), this.all];
  }

  begin() {
    this.parked = build("ul", { className: "rows lanes" });
    this.progress = build("p", { className: "said", role: "status" });
    this.body.append(this.parked, this.progress, ...this.pages.begin());
    this.pages.none.hidden = true;
    this.all.hidden = true;
  }

  drawBody() {
    const lanes = (this.lanes ?? []).filter(({ parked }) => parked);
    keep(this.parked, lanes.map((lane) => ({ key: JSON.stringify(lane), make: () => laneLine(lane) })));
    this.all.hidden = this.state !== "failed" || !this.waiting().length;
    this.pages.draw();
  }

  line(item) {
    const { message_id: id, ticket_id: ticketId, instance, contact, content, agent, type, state, attempts, created_at, due_at, error } = item;
    const said = this.said.get(id);
    return build("li", { "data-message": id },
      build("span", { className: "what" }, mark(KINDS[state] ?? "unknown", texts.outboxState[state] ?? state),
        build("bdi", { className: "name" }, instance)),
      build("p", { className: "words" }, contact && build("bdi", { className: "name" }, contact), build("bdi", {}, content)),
      build("span", { className: "facts" },
        fact(texts.by, build("bdi", {}, agent)),
        fact(texts.written, timeOf(created_at)),
        build("span", { className: "faint" }, texts.types[type] ?? type),
        fact(texts.attempts, number(attempts)),
        due_at && state === "queued" && fact(texts.due, timeOf(due_at))),
      build("span", { className: "deeds" },
        state === "failed" && button(texts.again, () => this.retry(id), { disabled: said?.isDone ?? false }),
        build("a", { href: `#/inbox/${ticketId}` }, texts.conversation),
        button(texts.trace, () => this.trace.open(id))),
      error && build("p", { className: "advice", title: error.code }, reasonOf(error)),
      said && build("p", { className: "said", role: "status" }, said.text));
  }

  waiting() { return this.pages.items.filter(({ message_id: id }) => !this.said.get(id)?.isDone); }

  // True when the message is on its way again.
  async retry(id) {
    try {
      await this.rest.post(`/v1/messages/${id}/retry`);
      this.said.set(id, { text: texts.queuedAgain, isDone: true });
    } catch (problem) {
      this.said.set(id, { text: texts.notDone(because(problem)), isDone: problem.code === "not_failed" });
    }
    this.draw();
    this.poll.now();
    return this.said.get(id).isDone;
  }

  // One after the other, as somebody would do by hand.
  async retryAll() {
    const all = this.waiting();
    if (!(await agreed(texts.retryAllAsk(all.length), texts.retryAll))) return;
    this.all.disabled = true;
    let done = 0;
    for (const [index, { message_id: id }] of all.entries()) {
      if (!this.poll.isOn) break;
      this.progress.textContent = texts.retrying(index + 1, all.length);
      if (await this.retry(id)) done += 1;
    }
    this.progress.textContent = texts.retried(done, all.length);
    this.all.disabled = false;
  }
}

function laneLine({ instance, waiting, parked }) {
  return build("li", { "data-lane": instance },
    build("span", { className: "what" }, mark("warn", texts.parked), build("bdi", { className: "name" }, instance)),
    build("span", { className: "facts" }, fact(texts.waitingReplies, number(waiting))),
    build("p", { className: "advice", title: parked.code }, reasonOf(parked)));
}

// Why, in the reader's language where the code is known; else in the daemon's own words.
function reasonOf({ code, message }) {
  return texts.failures[code] ?? build("bdi", { lang: "en" }, message);
}
