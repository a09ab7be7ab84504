// What the operator's views are put together from.

import { build } from "./dom.js";
import { icon } from "./icons.js";
import { full, moment, refusal, texts } from "./texts.js";

// A moment as people say it, with all of it in the tooltip.
export function timeOf(at, say = moment) {
  if (!at) return build("span", {}, "–");
  return build("time", { dateTime: at, title: full(at) }, say(at));
}

// How something is, never by colour alone: `kind` is ok, warn, bad or unknown.
export function mark(kind, words, title = "") {
  return build("span", { className: "mark", "data-kind": kind, title }, icon(kind), words);
}

// What stands where nothing is, and when there will be something.
export function empty(said, help) {
  return build("div", { className: "empty" }, build("p", {}, said), help && build("p", { className: "faint" }, help));
}

export function fact(label, ...value) {
  return build("span", { className: "fact" }, build("span", { className: "faint" }, `${label} `), ...value);
}

// Why something could not be read or done, for a person.
export function because(problem) {
  if (problem.status === undefined) return texts.noAnswer;
  if (problem.status === 403) return texts.forbidden;
  return refusal(problem);
}

const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g;

// What somebody sent, for one who examines it: characters that hide or turn text show themselves.
export function laidBare(text) {
  return text.replace(HIDDEN, (one) => `⟨${one.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`);
}
