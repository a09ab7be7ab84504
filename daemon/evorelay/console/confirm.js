// Asks before something is done that cannot be taken back.

import { $ } from "./dom.js";
import { texts } from "./texts.js";

// Resolves with whether it was agreed to; Escape means no.
export function agreed(question, deed) {
  const dialog = $("confirm");
  $("confirm-question").textContent = question;
  $("confirm-do").textContent = deed;
  $("confirm-leave").textContent = texts.cancel;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((answer) => {
    dialog.onclose = () => answer(dialog.returnValue === "do");
  });
}
