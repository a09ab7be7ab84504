// Through the list of tickets by keys.

import { $ } from "./dom.js";

const NEXT = {
  ArrowDown: (item) => item?.nextElementSibling,
  ArrowUp: (item) => item?.previousElementSibling,
  Home: () => $("ticket-list").firstElementChild,
  End: () => $("ticket-list").lastElementChild,
};

// Moves the focus, when the key is one of those.
export function moveFocus(event) {
  const next = NEXT[event.key]?.(event.target.closest("li"));
  if (!next) return;
  next.querySelector("button").focus();
  event.preventDefault();
}

// Opens the ticket so many lines below `button`, the first one if there is no button. False if
// there is none.
export function openBeside(button, by) {
  const buttons = [...$("ticket-list").querySelectorAll("button")];
  const at = buttons.indexOf(button);
  const next = buttons[at < 0 ? 0 : at + by];
  next?.click();
  next?.scrollIntoView({ block: "nearest" });
  return next !== undefined;
}
