// Whether what the daemon takes reaches the browsers. The connection does not tell it: it is well
// while messages wait behind a store that is locked, or a pipeline that stands.

import { Poll } from "./poll.js";
import { Rest } from "./rest.js";

const EVERY_MS = 10_000;
const MADE_LATE_BY = ["journal:commit", "pipeline:lag", "pipeline:age", "store:write", "canary:roundtrip"];

// `onRead` is called with it each time it was read; in between and unanswered, the last word counts.
export class Behind {
  constructor(onRead) {
    const rest = new Rest("", () => {}); // how a check is, is told to anybody
    this.poll = new Poll(async () => {
      const { checks } = await rest.get("/health", { also: [503] });
      onRead(MADE_LATE_BY.some((name) => (checks?.[name] ?? []).some(({ status }) => status !== "pass")));
    }, EVERY_MS, () => {});
  }

  start() { this.poll.start(); }

  close() { this.poll.stop(); }
}
