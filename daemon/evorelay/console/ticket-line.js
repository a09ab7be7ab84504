// One ticket as the list shows it.

import { element } from "./dom.js";
import { age, texts, when } from "./texts.js";

const SOON_MS = 15 * 60_000;
const LONG_MS = 60 * 60_000;

export function fillLine(button, ticket, unread) {
  const count = element("span", "unread", unread || null);
  count.hidden = !unread;
  count.setAttribute("aria-label", texts.unread(unread));
  const about = element("span", "tag");
  about.append(element("bdi", "", ticket.instance), " · ", element("bdi", "", ticket.assignee ?? texts.nobody));
  button.replaceChildren(
    element("bdi", "name", ticket.contact.name),
    element("time", "", when(activity(ticket))),
    element("bdi", "preview", ticket.last_message ?? ""),
    count,
    about,
    waitOf(ticket),
  );
}

export const activity = (ticket) => ticket.last_message_at ?? ticket.created_at;

// How long the customer has been waiting; hidden when nobody waits.
export function waitOf({ waiting_since, status }) {
  const wait = element("span", "wait");
  wait.hidden = waiting_since === null || status === "closed";
  if (wait.hidden) return wait;
  const ms = Date.now() - Date.parse(waiting_since);
  wait.textContent = texts.waiting(age(ms));
  wait.dataset.age = ms > LONG_MS ? "long" : ms > SOON_MS ? "soon" : "short";
  return wait;
}

// A new message: who waits for an answer now. Of late ones only the daemon knows.
export function updateWait(ticket, { direction, created_at, is_internal, metadata }) {
  if (metadata.late || metadata.history || is_internal) return;
  if (direction === "in") ticket.waiting_since ??= created_at;
  else ticket.waiting_since = null;
}
