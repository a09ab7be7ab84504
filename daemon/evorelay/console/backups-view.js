// The backups: which there are, whether each was restored and compared, when the next one is due.

import { build, button, keep } from "./dom.js";
import { because, empty, fact, mark, timeOf } from "./pieces.js";
import { bytes, number, texts } from "./texts.js";
import { View } from "./view.js";

const EVERY_MS = 5000;
const KINDS = { verified: "ok", unverified: "unknown", damaged: "bad" };
const SHOWN_AT_FIRST = 50;

export class BackupsView extends View {
  constructor(context) {
    super("backups", context, EVERY_MS);
    this.shown = SHOWN_AT_FIRST;
    this.said = "";
  }

  async load() {
    try {
      this.state = await this.rest.get("/v1/backups");
      this.isMissing = false;
    } catch (problem) {
      if (problem.status !== 404) throw problem;
      this.isMissing = true;
    }
  }

  actions() {
    this.now = button(texts.backUpNow, () => this.start(), { className: "primary", hidden: true });
    return [this.now];
  }

  begin() {
    this.summary = build("p", { className: "summary" });
    this.deed = build("p", { className: "said", role: "status" });
    this.list = build("ul", { className: "rows backups" });
    this.none = build("div", { hidden: true }, empty(texts.noBackups, texts.noBackupsHelp));
    this.more = button(texts.moreRows, () => { this.shown += SHOWN_AT_FIRST; this.draw(); });
    this.body.append(this.summary, this.deed, this.none, this.list, build("p", { className: "foot" }, this.more));
  }

  drawBody() {
    this.now.hidden = this.role !== "admin" || this.isMissing;
    this.more.hidden = true;
    if (this.isMissing) {
      this.summary.textContent = texts.noBackupsHere;
      return;
    }
    const { backups, next_at, schedule, timezone, is_running: isRunning } = this.state;
    const verified = backups.find(({ state }) => state === "verified");
    this.now.disabled = isRunning;
    if (!isRunning && this.wasRunning) this.said = "";
    this.wasRunning = isRunning;
    const told = isRunning ? texts.backupRuns : this.said;
    if (this.deed.textContent !== told) this.deed.textContent = told;
    this.deed.classList.toggle("running", isRunning);
    this.summary.replaceChildren(
      verified ? mark("ok", texts.lastVerified) : mark(backups.length ? "bad" : "unknown", texts.neverVerified),
      verified ? timeOf(verified.verified_at) : "",
      fact(texts.nextBackup, next_at ? timeOf(next_at) : texts.notScheduled),
      schedule ? fact(texts.schedule, build("code", {}, schedule), ` ${timezone ?? ""}`) : "");
    this.none.hidden = backups.length > 0;
    keep(this.list, backups.slice(0, this.shown).map((backup) => ({ key: JSON.stringify(backup), make: () => line(backup) })));
    this.more.hidden = backups.length <= this.shown;
  }

  async start() {
    this.now.disabled = true;
    try {
      await this.rest.post("/v1/backups");
      this.said = texts.backupStarted;
    } catch (problem) {
      this.said = texts.notDone(problem.status === 409 ? texts.backupRuns : because(problem));
    }
    this.poll.now();
  }
}

function line(backup) {
  const { id, created_at, from, to, messages, tickets, size_bytes, state, verified_at, problem, gap } = backup;
  return build("li", { "data-backup": id },
    build("span", { className: "what" }, mark(KINDS[state] ?? "unknown", texts.backupState[state] ?? state),
      build("span", { className: "name" }, timeOf(created_at))),
    build("span", { className: "facts" },
      from ? fact(texts.period, timeOf(from), " – ", timeOf(to)) : fact(texts.everythingUntil, timeOf(to)),
      fact(texts.messagesWord, number(messages)),
      fact(texts.ticketsWord, number(tickets)),
      build("span", { className: "faint" }, bytes(size_bytes)),
      verified_at && fact(texts.verifiedAt, timeOf(verified_at))),
    build("span", { className: "faint id" }, id),
    problem && build("p", { className: "advice", lang: "en" }, problem),
    gap && build("p", { className: "advice", lang: "en" }, gap));
}
