// What the page says, in the reader's language, and how it writes moments, sizes and names.

import en from "./words-en.js";
import pt from "./words-pt.js";

const TEXTS = { en, pt };
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
  for (const element of document.querySelectorAll("[data-label]")) {
    element.title = texts[element.dataset.label];
    element.setAttribute("aria-label", texts[element.dataset.label]);
  }
}

// What the daemon says against something, without the code that stands before it for programs.
export function refusal(problem) {
  return String(problem.message ?? problem).replace(/^[a-z_]+: /, "");
}

export function clock(moment) {
  return new Date(moment).toLocaleTimeString(language, { hour: "numeric", minute: "2-digit" });
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
  const [unit, scale] = count < 1e6 ? ["kilobyte", 1e3] : ["megabyte", 1e6];
  return (Math.max(count, 100) / scale).toLocaleString(language, { style: "unit", unit, maximumFractionDigits: 1 });
}

