// The list of tickets: loaded by pages, kept current by the inboxes' events.

import { $, element, oncePerFrame } from "./dom.js";
import { Filters } from "./filters.js";
import { moveFocus, openBeside } from "./ticket-keys.js";
import { activity, fillLine, updateWait } from "./ticket-line.js";
import { texts } from "./texts.js";
import { Unread } from "./unread.js";

const KEPT_MAX = 300;
const OTHERS_MAX = 5000;
const ASK_AFTER_MS = 500; // what has to be asked comes in bursts
const SEARCH_AFTER_MS = 3000;
const ASKED_MAX = 20; // tickets asked for one by one; a page says more of many
const WAIT_DRAWN_EVERY_MS = 30_000;
const PREVIEW_CHARS = 160;

export class Tickets {
  constructor(live, { onChoose, onProblem }) {
    this.live = live;
    this.onChoose = onChoose;
    this.onProblem = onProblem;
    this.chosen = null;
    this.render = oncePerFrame(() => this.draw());
    this.unread = new Unread(live, this.render);
    this.filters = new Filters(live, () => { this.reset(); this.render(); this.reload(); });
    this.reset();
    $("more").onclick = () => this.load(this.cursor);
    $("ticket-list").onkeydown = moveFocus;
    this.clock = setInterval(this.render, WAIT_DRAWN_EVERY_MS);
  }

  reset() {
    this.tickets = new Map();
    this.buttons = new Map();
    this.others = new Set(); // tickets that are known not to belong into the list
    this.asked = new Set();
    this.cursor = null;
    this.loaded = false;
    this.generation = {}; // another one: an answer to an earlier question is of no use
    $("ticket-list").replaceChildren();
  }

  close() {
    clearTimeout(this.timer);
    clearInterval(this.clock);
    this.filters.close();
    this.unread.close();
  }

  // Reads the newest page again, soon.
  reload() {
    this.isBehind = true;
    this.askSoon();
  }

  // Reads one ticket, soon: there is something that events do not tell.
  ask(id) {
    this.asked.add(id);
    this.askSoon();
  }

  askSoon() {
    const wait = !this.loaded ? 0 : this.filters.q ? SEARCH_AFTER_MS : ASK_AFTER_MS;
    this.timer ??= setTimeout(() => {
      this.timer = null;
      const ids = [...this.asked];
      this.asked.clear();
      if (this.isBehind || this.filters.q || ids.length > ASKED_MAX) this.load(null);
      else for (const id of ids) this.get(id);
      this.isBehind = false;
    }, wait);
  }

  async load(cursor) {
    const { generation } = this;
    try {
      await this.live.ready();
      const page = await this.unread.counted(
        () => this.live.call("tickets.list", { cursor, ...this.filters.params }),
        ({ tickets }) => tickets,
      );
      if (generation !== this.generation) return;
      for (const ticket of page.tickets) this.put(ticket);
      if (cursor !== null || !this.loaded) this.cursor = page.next_cursor;
      this.loaded = true;
    } catch (problem) {
      this.onProblem(problem);
    }
    this.render();
  }

  async get(id) {
    const { generation } = this;
    try {
      const ticket = await this.unread.counted(() => this.live.call("tickets.get", { ticket_id: id }));
      if (generation === this.generation) this.put(ticket);
    } catch (problem) {
      this.onProblem(problem);
    }
    this.render();
  }

  handle(event) {
    if (event.type === "message.created") this.note(event.message);
    else if (event.type === "message.updated") this.amend(event.message);
    else if (event.type === "message.removed") { if (this.tickets.has(event.ticket_id)) this.ask(event.ticket_id); }
    else if (event.type === "ticket.merged") this.merge(event);
    else if (event.type === "ticket.erased") this.tickets.delete(event.ticket_id);
    else if (event.ticket) this.hear(event.ticket, event.type === "ticket.created");
    this.render();
  }

  // Somebody read a ticket elsewhere; it counts if it was us.
  seen({ user, ticket_id }) {
    if (user === this.live.user) this.unread.seen(ticket_id);
    this.render();
  }

  // We read a ticket here.
  async read(id) {
    await this.unread.read(id);
    this.render();
  }

  // What an answer says: everything.
  put(ticket) {
    const known = this.tickets.get(ticket.id);
    // A page and an event may cross each other: the newer version wins.
    if (known && known.version > ticket.version) return;
    if (known?.last_message_at && at(known.last_message_at) > at(activity(ticket))) {
      const { last_message_at, last_message, last_message_id, waiting_since } = known;
      Object.assign(ticket, { last_message_at, last_message, last_message_id, waiting_since });
    }
    if (this.filters.admit(ticket)) {
      this.tickets.set(ticket.id, ticket);
      this.others.delete(ticket.id);
    } else {
      this.tickets.delete(ticket.id);
      if (this.others.size >= OTHERS_MAX) this.others.clear();
      this.others.add(ticket.id);
    }
  }

  // What an event says: everything but this agent's own count, and what a search would find.
  hear(ticket, isNew) {
    const isListed = this.tickets.has(ticket.id) || (isNew && !this.filters.q);
    if (isListed || !this.filters.admit(ticket)) this.put(ticket);
    else this.ask(ticket.id);
  }

  note(message) {
    const ticket = this.tickets.get(message.ticket_id);
    if (!ticket) {
      if (!this.others.has(message.ticket_id)) this.ask(message.ticket_id);
      return;
    }
    this.unread.arrived(message);
    if (message.metadata.late) {
      this.ask(ticket.id); // only the daemon knows who waits then
    } else updateWait(ticket, message);
    // A ticket without a message may be younger than its first one, which was replayed.
    if (ticket.last_message_at === null || at(message.created_at) >= at(ticket.last_message_at)) {
      ticket.last_message_at = message.created_at;
      ticket.last_message_id = message.id;
      ticket.last_message = previewOf(message);
    }
  }

  // A message says something else now: so does the list, if it is the one that it shows.
  amend(message) {
    const ticket = this.tickets.get(message.ticket_id);
    if (!ticket || ticket.last_message === previewOf(message)) return;
    if (ticket.last_message_id === message.id) ticket.last_message = previewOf(message);
    else if (!ticket.last_message_id && at(message.created_at) === at(activity(ticket))) this.ask(ticket.id);
  }

  merge({ ticket_id, into, ticket }) {
    this.unread.merged(ticket_id, into);
    this.tickets.delete(ticket_id);
    this.hear(ticket, false);
  }

  draw() {
    const ordered = [...this.tickets.values()].sort((a, b) => at(activity(b)) - at(activity(a)));
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
    const nothing = this.live.user !== null && this.live.role === null ? texts.noRole : texts.noTickets;
    $("no-tickets").textContent = this.filters.q ? texts.nothingFound : nothing;
  }

  forget(id) {
    this.buttons.get(id)?.parentElement.remove();
    this.buttons.delete(id);
    this.tickets.delete(id);
    this.unread.forget(id);
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
    fillLine(button, ticket, this.unread.of(ticket.id));
    button.setAttribute("aria-current", String(ticket.id === this.chosen));
    return button.parentElement;
  }

  choose(id) {
    this.mark(id);
    if (id !== null) this.onChoose(this.tickets.get(id));
  }

  // Shows which ticket is open, whoever opened it.
  mark(id) {
    this.chosen = id;
    this.render();
  }

  // Brings the open ticket into sight, if the list has it.
  reveal() { this.buttons.get(this.chosen)?.scrollIntoView({ block: "nearest" }); }

  // Into the list: where the open ticket is, or at its beginning.
  focus() { (this.buttons.get(this.chosen) ?? $("ticket-list").querySelector("button"))?.focus(); }

  // Opens the next ticket, or with -1 the one before. False if there is none.
  step(by) { return openBeside(this.buttons.get(this.chosen), by); }
}

const at = (moment) => Date.parse(moment);
// As the daemon cuts it, which counts an emoji as one.
const previewOf = ({ content }) => [...content.slice(0, 2 * PREVIEW_CHARS)].slice(0, PREVIEW_CHARS).join("");
