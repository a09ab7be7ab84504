// Single keys for who works here all day. They can be turned off, and never act while one writes.

import { $, build } from "./dom.js";
import { texts } from "./texts.js";
import { NAMES, addressOf } from "./views.js";

const KEY = "evorelay.shortcuts";
const SEQUENCE_MS = 1500;
const GO = { i: "inbox", o: "overview", n: "instances", b: "outbox", q: "quarantine", k: "backups" };

export class Shortcuts {
  // `acts` are the functions behind the keys; `mayOperate` says whether there is more than the inbox.
  constructor(acts, mayOperate) {
    this.acts = acts;
    this.mayOperate = mayOperate;
    document.addEventListener("keydown", (event) => this.key(event));
    $("help").onclick = () => this.help();
    $("shortcuts-on").checked = this.isOn;
    $("shortcuts-on").onchange = () => localStorage.setItem(KEY, $("shortcuts-on").checked ? "on" : "off");
  }

  get isOn() { return localStorage.getItem(KEY) !== "off"; }

  help() {
    const rows = [
      ["?", texts.keys.help], ["/", texts.keys.search], ["↑ ↓", texts.keys.arrows], ["j k", texts.keys.next],
      ["r", texts.keys.reply], ["c", texts.keys.claim], ["e", texts.keys.close], ["Esc", texts.keys.escape],
      ["Enter", texts.keys.enter], ["Shift Enter", texts.keys.newLine],
      ...(this.mayOperate() ? NAMES.map((name) => [`g ${letterOf(name)}`, texts.keys.go(texts.views[name])]) : []),
    ];
    $("shortcuts-list").replaceChildren(...rows.flatMap(([keys, what]) => [
      build("dt", {}, keys.split(" ").map((one) => build("kbd", {}, one))), build("dd", {}, what)]));
    $("shortcuts").showModal();
  }

  key(event) {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if ($("app").hidden || document.querySelector("dialog[open], :popover-open")) return;
    const isWriting = event.target.closest?.("input, textarea, select");
    if (event.key === "Escape") {
      if (isWriting) event.target.blur();
      else this.acts.escape();
      return;
    }
    if (isWriting || !this.isOn) return;
    const isSecond = Date.now() - (this.goAt ?? 0) < SEQUENCE_MS;
    this.goAt = 0;
    if (isSecond && GO[event.key]) {
      if (this.mayOperate()) location.hash = addressOf(GO[event.key]);
    } else if (event.key === "g") this.goAt = Date.now();
    else if (event.key === "?") this.help();
    else if (!(event.key in this.acts.keys) || !this.acts.keys[event.key]()) return;
    event.preventDefault();
  }
}

const letterOf = (name) => Object.keys(GO).find((letter) => GO[letter] === name);
