// What the page says, in the reader's language, and how it writes moments, sizes and names.

import en from "./words-en.js";
import enOperations from "./words-en-operations.js";
import pt from "./words-pt.js";
import ptOperations from "./words-pt-operations.js";

const TEXTS = { en: { ...en, ...enOperations }, pt: { ...pt, ...ptOperations } };
const KEY = "evorelay.language";
const preferred = localStorage.getItem(KEY) ?? navigator.language.slice(0, 2);

export let language = preferred === "pt" ? "pt" : "en";
export let texts = TEXTS[language];

export function switchLanguage() {
  language = language === "pt" ? "en" : "pt";
  texts = TEXTS[language];
  localStorage.setItem(KEY, language);
}

// Fills every element that names its text; what is rendered from data is its view's business.
export function fillTexts() {
  document.documentElement.lang = language === "pt" ? "pt-BR" : "en";
  for (const element of document.querySelectorAll("[data-text]")) {
    element.textContent = texts[element.dataset.text];
  }
  for (const element of document.querySelectorAll("[data-placeholder]")) {
    element.placeholder = texts[element.dataset.placeholder];
  }
  for (const element of document.querySelectorAll("[data-name]")) {
    element.setAttribute("aria-label", texts[element.dataset.name]);
  }
  for (const element of document.querySelectorAll("[data-label]")) {
    element.title = texts[element.dataset.label];
    element.setAttribute("aria-label", texts[element.dataset.label]);
  }
}

// What the daemon says against something: in our words where its code is enough, else in its own,
// without the code that stands before them for programs.
export function refusal(problem) {
  const said = String(problem.message ?? problem);
  const code = typeof problem.code === "string" ? problem.code : said.match(/^([a-z_]+): /)?.[1];
  return texts.refusals[code] ?? said.replace(/^[a-z_]+: /, "");
}

export function clock(moment) {
  return new Date(moment).toLocaleTimeString(language, { hour: "numeric", minute: "2-digit" });
}

export function clockWithSeconds(moment) {
  return new Date(moment).toLocaleTimeString(language, { timeStyle: "medium" });
}

// Everything about a moment, for a tooltip.
export function full(moment) {
  return new Date(moment).toLocaleString(language, { dateStyle: "full", timeStyle: "long" });
}

export function day(moment) {
  const date = new Date(moment);
  const year = date.getFullYear() === new Date().getFullYear() ? undefined : "numeric";
  return date.toLocaleDateString(language, { day: "2-digit", month: "long", year });
}

// The time for today, the date for any other day.
export function when(moment) {
  return day(moment) === day(Date.now()) ? clock(moment) : day(moment);
}

// "14:02" for today, "21 November 14:02" for any other day.
export function moment(time) {
  return day(time) === day(Date.now()) ? clock(time) : `${day(time)} ${clock(time)}`;
}

// "12 min", "3 h", "2 d": the same in both languages.
export function age(ms) {
  const minutes = Math.max(0, Math.floor(ms / 60_000));
  if (minutes < 60) return `${minutes} min`;
  return minutes < 48 * 60 ? `${Math.floor(minutes / 60)} h` : `${Math.floor(minutes / 1440)} d`;
}

// "1.2 MB"; nothing for a size that is not known.
export function bytes(count) {
  if (!count) return "";
  const [unit, scale] = count < 1e6 ? ["kilobyte", 1e3] : count < 1e9 ? ["megabyte", 1e6] : ["gigabyte", 1e9];
  return (Math.max(count, 100) / scale).toLocaleString(language, { style: "unit", unit, maximumFractionDigits: 1 });
}

// A number as people of this language write it; a dash for one that is not known.
export function number(value, digits = 0) {
  return value === null || value === undefined ? "–" : value.toLocaleString(language, { maximumFractionDigits: digits });
}

// "340 ms", "1.2 s"
export function milliseconds(ms) {
  if (ms === null || ms === undefined) return "–";
  return ms < 1000 ? `${number(ms, ms < 10 ? 1 : 0)} ms` : `${number(ms / 1000, 1)} s`;
}

// "12 s", "3 min", "2 h"
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  return seconds < 60 ? `${number(seconds)} s` : age(seconds * 1000);
}
