// One message's way, from the webhook to the ticks, with the time between the steps.

import { $, build } from "./dom.js";
import { empty, because } from "./pieces.js";
import { clockWithSeconds, day, full, milliseconds, age, texts } from "./texts.js";

const BAD = new Set(["failed", "refused"]);
const MINUTE_MS = 60_000;

export class Trace {
  constructor(rest) { this.rest = rest; }

  close() { $("trace").close(); }

  async open(messageId) {
    this.messageId = messageId;
    $("trace-facts").replaceChildren(build("code", {}, messageId));
    $("trace-steps").replaceChildren(build("li", { className: "faint" }, texts.loading));
    $("trace").showModal();
    try {
      const trace = await this.rest.get(`/v1/messages/${encodeURIComponent(messageId)}/trace`);
      if (this.messageId !== messageId) return;
      $("trace-facts").replaceChildren(build("bdi", {}, trace.instance), " · ", build("code", {}, messageId));
      $("trace-steps").replaceChildren(...lines(trace.steps));
    } catch (problem) {
      if (this.messageId !== messageId) return;
      const why = problem.status === 404 ? texts.noTrace : texts.failed(because(problem));
      $("trace-steps").replaceChildren(build("li", { className: "problem" }, why));
    }
  }
}

function lines(steps) {
  if (!steps.length) return [build("li", {}, empty(texts.noTrace))];
  return steps.map(({ at, step, detail }, index) => {
    const since = index ? Date.parse(at) - Date.parse(steps[index - 1].at) : null;
    const isNewDay = !index || day(at) !== day(steps[index - 1].at);
    return build("li", { "data-step": step, "data-kind": BAD.has(step) ? "bad" : "ok" },
      build("b", {}, texts.steps[step] ?? step),
      build("time", { dateTime: at, title: full(at) }, [isNewDay && day(at), clockWithSeconds(at)].filter(Boolean).join(" ")),
      since !== null && build("span", { className: "faint since" }, `+${since < MINUTE_MS ? milliseconds(Math.max(0, since)) : age(since)}`),
      detail && build("p", { className: "faint" }, build("bdi", {}, detail)));
  });
}
