// Webhooks that were not understood: why, what they say, and read again.

import { build, button } from "./dom.js";
import { Examined } from "./examined.js";
import { Pages } from "./pages.js";
import { because, empty, fact, mark, timeOf } from "./pieces.js";
import { texts } from "./texts.js";
import { View } from "./view.js";

const EVERY_MS = 10_000;

export class QuarantineView extends View {
  constructor(context) {
    super("quarantine", context, EVERY_MS);
    this.withReplayed = false;
    this.said = new Map(); // by id: what became of it
    this.examined = new Examined(this.rest, (id, dryRun) => this.replay(id, dryRun));
    this.pages = new Pages(this.rest, {
      path: () => `/v1/quarantine${this.withReplayed ? "?replayed=true" : ""}`,
      field: "quarantine",
      line: (item) => this.line(item),
      stateOf: (item) => this.said.get(item.id) ?? null,
      nothing: () => empty(texts.noQuarantine, texts.noQuarantineHelp),
    });
  }

  close() {
    super.close();
    this.examined.close();
  }

  async load() { await this.pages.load(); }

  actions() {
    const box = build("input", { type: "checkbox", checked: this.withReplayed, onchange: () => {
      this.withReplayed = box.checked;
      this.pages.reset();
      this.poll.now();
    } });
    return [build("label", {}, box, ` ${texts.withReplayed}`)];
  }

  begin() { this.body.append(...this.pages.begin()); this.pages.none.hidden = true; }

  drawBody() { this.pages.draw(); }

  line(item) {
    const { id, seq, received_at, event, instance, reason, detail, replayed_at } = item;
    return build("li", { "data-quarantine": id },
      build("span", { className: "what" },
        replayed_at ? mark("ok", texts.understood) : mark("warn", texts.reasons[reason] ?? reason, reason)),
      build("span", { className: "facts" },
        fact(texts.instanceWord, build("bdi", {}, instance || "–")),
        fact(texts.eventWord, build("bdi", {}, event || "–")),
        fact(texts.came, timeOf(received_at)),
        fact(texts.seq, String(seq)),
        replayed_at && fact(texts.replayedWord, timeOf(replayed_at))),
      build("span", { className: "deeds" },
        button(texts.examine, () => this.examined.open(item)),
        !replayed_at && button(texts.replay, () => this.replay(id, false), { className: "replay" })),
      build("p", { className: "advice" }, build("bdi", { lang: "en" }, detail)),
      this.said.get(id) && build("p", { className: "said", role: "status" }, this.said.get(id)));
  }

  // Returns the answer, null when there is none.
  async replay(id, dryRun) {
    let answer = null;
    try {
      answer = await this.rest.post(`/v1/quarantine/${id}/replay`, { dry_run: dryRun });
      this.said.set(id, texts.replayOutcome(answer.outcome, dryRun, answer.differences.length + answer.differences_left_out));
    } catch (problem) {
      this.said.set(id, texts.notDone(because(problem)));
    }
    this.draw();
    this.poll.now();
    return answer;
  }
}
