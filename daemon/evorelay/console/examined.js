// One quarantined webhook, laid open: its body, and what replaying it would change.

import { $, build } from "./dom.js";
import { because, laidBare } from "./pieces.js";
import { texts } from "./texts.js";

const SHOWN_CHARS = 100_000;

export class Examined {
  // `onReplay` is given the id and whether it is a dry run; it returns the answer, or null.
  constructor(rest, onReplay) {
    this.rest = rest;
    this.onReplay = onReplay;
    $("examined-try").onclick = () => this.replay(true);
    $("examined-replay").onclick = () => this.replay(false);
  }

  close() { $("examined").close(); }

  async open(item) {
    this.item = item;
    $("examined-why").textContent = laidBare(item.detail);
    $("examined-body").textContent = texts.loading;
    $("examined-changes").replaceChildren();
    $("examined-try").hidden = $("examined-replay").hidden = item.replayed_at !== null;
    $("examined").showModal();
    try {
      const { body, body_truncated: isCut } = await this.rest.get(`/v1/quarantine/${item.id}`);
      if (this.item !== item) return;
      $("examined-body").textContent = readable(body) + (isCut ? `\n… ${texts.cut}` : "");
    } catch (problem) {
      if (this.item === item) $("examined-body").textContent = texts.failed(because(problem));
    }
  }

  async replay(dryRun) {
    const { item } = this;
    const answer = await this.onReplay(item.id, dryRun);
    if (this.item !== item) return;
    $("examined-changes").replaceChildren(...(answer ? changes(answer, dryRun) : [build("li", {}, texts.notDone(""))]));
    if (answer && !dryRun && answer.outcome !== "still_quarantined") {
      $("examined-try").hidden = $("examined-replay").hidden = true;
    }
  }
}

function changes({ outcome, detail, differences, differences_left_out: left }, dryRun) {
  const count = differences.length + left;
  return [
    build("li", {}, build("b", {}, texts.replayOutcome(outcome, dryRun, count)), detail && ` ${laidBare(detail)}`),
    ...differences.map(({ what, who, text, fields }) => build("li", {},
      `${texts.differences[what] ?? what} `,
      who && build("bdi", {}, who), text && [": ", build("bdi", {}, text)],
      fields.length > 0 && build("span", { className: "faint" }, ` (${fields.map(({ field }) => field).join(", ")})`))),
    left > 0 && build("li", {}, texts.andMore(left)),
  ].filter(Boolean);
}

// JSON by lines if it is JSON, and nothing in it that hides.
function readable(body) {
  let text = body;
  try {
    text = JSON.stringify(JSON.parse(body), null, 2);
  } catch {
    // as it came
  }
  return laidBare(text.slice(0, SHOWN_CHARS));
}
