// The list of tickets: loaded by pages, kept current by the inboxes' events.

import { $, element, oncePerFrame } from "./dom.js";
import { nameOf, texts, when } from "./texts.js";

const KEPT_MAX = 300;
const RELOAD_WAIT_MS = 500;
const PREVIEW_CHARS = 160;

const activity = (ticket) => ticket.last_message_at ?? ticket.created_at;

export class Tickets {
  constructor(live, { onChoose, onProblem }) {
    this.live = live;
    this.onChoose = onChoose;
    this.onProblem = onProblem;
    this.chosen = null;
    this.reset();
    this.render = oncePerFrame(() => this.draw());
    $("filter").onchange = () => { this.reset(); this.render(); this.reload(); };
    $("more").onclick = () => this.load(this.cursor);
    $("ticket-list").onkeydown = (event) => this.moveFocus(event);
  }

  reset() {
    this.tickets = new Map();
    this.buttons = new Map();
    this.cursor = null;
    this.loaded = false;
    $("ticket-list").replaceChildren();
  }

  close() { clearTimeout(this.timer); }

  // Reads the newest page again, soon: events that cannot be placed come in bursts.
  reload() {
    this.timer ??= setTimeout(() => { this.timer = null; this.load(null); }, this.loaded ? RELOAD_WAIT_MS : 0);
  }

  async load(cursor) {
    const status = $("filter").value;
    try {
      const page = await this.live.call("tickets.list", { cursor, status: status || null });
      if (status !== $("filter").value) return;
      for (const ticket of page.tickets) this.put(ticket);
      if (cursor !== null || !this.loaded) this.cursor = page.next_cursor;
      this.loaded = true;
    } catch (problem) {
      this.onProblem(problem);
    }
    this.render();
  }

  handle(event) {
    if (event.ticket) this.put(event.ticket);
    if (event.type === "message.created") this.note(event.message);
    this.render();
  }

  get(id) { return this.tickets.get(id); }

  // A page and an event may cross each other: the newer version wins.
  put(ticket) {
    const known = this.tickets.get(ticket.id);
    if (known && known.version > ticket.version) return;
    if (known && activity(known) > activity(ticket)) {
      ticket.last_message_at = known.last_message_at;
      ticket.last_message = known.last_message;
    }
    const status = $("filter").value;
    if (status && ticket.status !== status) this.tickets.delete(ticket.id);
    else this.tickets.set(ticket.id, ticket);
  }

  note(message) {
    const ticket = this.tickets.get(message.ticket_id);
    if (!ticket) { this.reload(); return; }
    if (message.direction === "in") ticket.unread += 1;
    if (message.created_at >= activity(ticket)) {
      ticket.last_message_at = message.created_at;
      ticket.last_message = message.content.slice(0, PREVIEW_CHARS);
    }
  }

  draw() {
    const ordered = [...this.tickets.values()].sort((a, b) => (activity(a) < activity(b) ? 1 : -1));
    for (const dropped of ordered.splice(KEPT_MAX)) this.forget(dropped.id);
    const list = $("ticket-list");
    const focused = document.activeElement;
    for (const id of this.buttons.keys()) if (!this.tickets.has(id)) this.forget(id);
    ordered.forEach((ticket, index) => {
      const item = this.item(ticket);
      if (list.children[index] !== item) list.insertBefore(item, list.children[index] ?? null);
    });
    if (list.contains(focused)) focused.focus(); // a moved element loses it
    $("more").hidden = this.cursor === null || ordered.length >= KEPT_MAX;
    $("no-tickets").hidden = !this.loaded || ordered.length > 0;
  }

  forget(id) {
    this.buttons.get(id)?.parentElement.remove();
    this.buttons.delete(id);
    this.tickets.delete(id);
  }

  item(ticket) {
    let button = this.buttons.get(ticket.id);
    if (!button) {
      button = element("button");
      button.type = "button";
      button.onclick = () => this.choose(ticket.id);
      this.buttons.set(ticket.id, button);
      element("li").append(button);
    }
    const unread = element("span", "unread", ticket.unread || null);
    unread.hidden = !ticket.unread;
    unread.setAttribute("aria-label", texts.unread(ticket.unread));
    button.replaceChildren(
      element("span", "name", nameOf(ticket.contact)),
      element("time", "", when(activity(ticket))),
      element("span", "preview", ticket.last_message ?? ""),
      unread,
      element("span", "tag", `${ticket.instance} · ${ticket.assignee ?? texts.nobody}`),
    );
    button.setAttribute("aria-current", String(ticket.id === this.chosen));
    return button.parentElement;
  }

  choose(id) {
    this.chosen = id;
    this.render();
    if (id !== null) this.onChoose(this.tickets.get(id));
  }

  moveFocus(event) {
    const step = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
    const next = step && event.target.closest("li")?.[step];
    if (next) {
      next.querySelector("button").focus();
      event.preventDefault();
    }
  }
}
