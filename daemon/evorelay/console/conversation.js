// One ticket's conversation, as it happens.

import { $, element } from "./dom.js";
import { clock, day, texts } from "./texts.js";

const KEPT_MAX = 1000;
const TYPING_MS = 6000;
const TICKS = { pending: "◷", sent: "✓", delivered: "✓✓", read: "✓✓", played: "✓✓", failed: "✗" };

const inReadingOrder = (a, b) =>
  a.created_at < b.created_at || (a.created_at === b.created_at && a.id < b.id) ? -1 : 1;

export class Conversation {
  constructor(live, { onProblem }) {
    this.live = live;
    this.onProblem = onProblem;
    this.ticket = null;
    $("older").onclick = () => this.load(this.before);
  }

  open(ticket) {
    this.leave();
    this.ticket = ticket;
    this.messages = new Map();
    this.before = null;
    this.people = null;
    $("messages").replaceChildren();
    this.subscription = this.live.watch(`ticket:${ticket.id}`, {
      onEvent: (event) => this.handle(event),
      onReload: () => this.reload(),
      onMembers: () => this.countPeople(),
    });
    this.draw();
    $("scroll").focus();
  }

  leave() {
    if (this.subscription) this.live.unwatch(this.subscription);
    this.subscription = this.ticket = null;
    this.stopTyping();
    this.draw();
  }

  // Shows the newest page alone: between it and what was shown before, messages may be missing.
  reload() {
    this.messages = new Map();
    this.load(null);
  }

  async load(before) {
    const messages = this.messages;
    try {
      const page = await this.live.call("messages.list", { ticket_id: this.ticket.id, before });
      if (this.messages !== messages || !this.ticket) return; // opened or reloaded since
      for (const message of page.messages) {
        // An event that came meanwhile is as new as the page, or newer.
        if (!messages.has(message.id)) messages.set(message.id, message);
      }
      this.before = page.next_cursor;
      const height = $("scroll").scrollHeight;
      this.draw();
      if (before === null) this.scrollDown();
      else $("scroll").scrollTop += $("scroll").scrollHeight - height;
    } catch (problem) {
      this.onProblem(problem);
    }
  }

  handle(event) {
    if (event.type === "typing") { this.showTyping(event); return; }
    if (event.ticket) this.ticket = event.ticket;
    if (event.message) {
      const atEnd = $("scroll").scrollHeight - $("scroll").scrollTop - $("scroll").clientHeight < 60;
      this.messages.set(event.message.id, event.message);
      if (event.message.direction === "out") this.stopTyping();
      this.draw();
      if (atEnd) this.scrollDown();
    } else this.draw();
  }

  async countPeople() {
    try {
      this.people = (await this.subscription.presenceStats()).numUsers;
    } catch {
      this.people = null; // the next join or leave asks again
    }
    this.draw();
  }

  showTyping({ name, user, is_typing }) {
    this.stopTyping();
    if (!is_typing) return;
    $("typing").textContent = texts.typing(name ?? user);
    this.typingTimer = setTimeout(() => this.stopTyping(), TYPING_MS);
  }

  stopTyping() {
    clearTimeout(this.typingTimer);
    $("typing").textContent = "";
  }

  scrollDown() { $("scroll").scrollTop = $("scroll").scrollHeight; }

  draw() {
    const ticket = this.ticket;
    $("nothing-open").hidden = ticket !== null;
    $("open-ticket").hidden = ticket === null;
    document.body.classList.toggle("reading", ticket !== null);
    if (ticket === null) return;
    $("who").textContent = ticket.contact.name;
    $("facts").textContent = [
      ticket.contact.phone && `+${ticket.contact.phone}`,
      ticket.instance,
      texts.ticket[ticket.status],
      ticket.assignee ?? texts.nobody,
    ].filter(Boolean).join(" · ");
    $("presence").textContent = this.people === null ? "" : texts.watching(this.people);
    $("older").hidden = this.before === null;
    this.drawMessages();
  }

  // Elements of unchanged messages stay, so that a selection in them survives.
  drawMessages() {
    const ordered = [...this.messages.values()].sort(inReadingOrder);
    for (const dropped of ordered.splice(0, ordered.length - KEPT_MAX)) {
      this.messages.delete(dropped.id);
      this.before = ordered[0].id;
    }
    const list = $("messages");
    const wanted = [];
    let lastDay = null;
    for (const message of ordered) {
      const itsDay = day(message.created_at);
      if (itsDay !== lastDay) wanted.push({ key: `day ${itsDay}`, make: () => element("li", "day", itsDay) });
      lastDay = itsDay;
      wanted.push({ key: JSON.stringify(message), make: () => bubble(message, this.ticket.contact) });
    }
    const present = new Map([...list.children].map((child) => [child.key, child]));
    wanted.forEach(({ key, make }, index) => {
      const child = present.get(key) ?? Object.assign(make(), { key });
      present.delete(key);
      if (list.children[index] !== child) list.insertBefore(child, list.children[index] ?? null);
    });
    for (const gone of present.values()) gone.remove();
  }
}

function bubble(message, contact) {
  const item = element("li", message.is_internal ? "internal" : message.direction);
  if (message.sender_name && message.sender_name !== contact.name) {
    item.append(element("b", "", message.sender_name));
  }
  const thumbnail = message.media?.thumbnail;
  if (thumbnail) {
    const image = element("img");
    image.src = `data:image/jpeg;base64,${thumbnail}`;
    image.alt = message.type;
    item.append(image);
  }
  item.append(element(message.deleted_at ? "s" : "p", "text", message.content));
  const notes = [
    message.is_internal && texts.internal,
    message.edited_at && texts.edited,
    message.deleted_at && texts.deleted,
    clock(message.created_at),
  ].filter(Boolean);
  const foot = element("small", "", notes.join(" · "));
  if (message.direction === "out") {
    const tick = element("span", `tick ${message.status}`, ` ${TICKS[message.status] ?? ""}`);
    tick.setAttribute("role", "img");
    tick.setAttribute("aria-label", texts.status[message.status] ?? message.status);
    tick.title = texts.status[message.status] ?? message.status;
    foot.append(tick);
  }
  item.append(foot);
  if (message.reactions.length) {
    item.append(element("span", "reactions", message.reactions.map((one) => one.emoji ?? one.text ?? "").join(" ")));
  }
  return item;
}
