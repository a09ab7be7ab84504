// One ticket's conversation, as it happens.

import { Attachments } from "./attachments.js";
import { bubble } from "./bubble.js";
import { $, element } from "./dom.js";
import { day, nameOf, texts } from "./texts.js";

const KEPT_MAX = 1000;
const TYPING_MS = 6000;
const NEAR_END_PX = 60;

const inReadingOrder = (a, b) =>
  a.created_at < b.created_at || (a.created_at === b.created_at && a.id < b.id) ? -1 : 1;

export class Conversation {
  // `onSeen` is called with the ticket once its messages were read here.
  constructor(live, token, { onSeen, onProblem }) {
    this.live = live;
    this.onSeen = onSeen;
    this.onProblem = onProblem;
    this.attachments = new Attachments(token);
    this.ticket = null;
    const scroll = $("scroll");
    $("older").onclick = () => this.load(this.before);
    document.onvisibilitychange = () => this.tellSeen();
    // Who reads the end goes on reading it, whatever grows: a new message, or a picture that came.
    // Only a person scrolls up.
    scroll.onscroll = () => {
      const below = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight;
      if (below < NEAR_END_PX) this.atEnd = true;
      else if (scroll.scrollTop < this.scrolledTo) this.atEnd = false;
      this.scrolledTo = scroll.scrollTop;
    };
    this.growth = new ResizeObserver(() => { if (this.atEnd) this.scrollDown(); });
    this.growth.observe($("messages"));
    this.growth.observe(scroll);
  }

  close() {
    this.leave();
    this.growth.disconnect();
  }

  open(ticket) {
    this.leave();
    this.ticket = ticket;
    this.messages = new Map();
    this.before = null;
    this.people = null;
    this.unseen = false;
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
    this.attachments.clear();
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
      if (before === null) {
        this.atEnd = true;
        this.scrollDown();
        this.unseen = true;
        this.tellSeen();
      } else $("scroll").scrollTop += $("scroll").scrollHeight - height;
    } catch (problem) {
      this.onProblem(problem);
    }
  }

  handle(event) {
    if (event.type === "typing") { this.showTyping(event); return; }
    if (event.ticket) this.ticket = event.ticket;
    if (event.message) {
      this.messages.set(event.message.id, event.message);
      if (event.message.direction === "out") this.stopTyping();
      else if (event.type === "message.created") this.unseen = true;
    }
    this.draw();
    this.tellSeen();
  }

  // Nothing of an open ticket is unread while somebody looks at the page. One call at a time: what
  // comes meanwhile is told by the next.
  async tellSeen() {
    if (!this.unseen || this.telling || !this.ticket || document.hidden) return;
    this.unseen = false;
    this.telling = true;
    try {
      this.onSeen(await this.live.tell("seen", { ticket_id: this.ticket.id }));
    } catch {
      this.unseen = true; // told with the next message, or when the page is loaded again
      return;
    } finally {
      this.telling = false;
    }
    this.tellSeen();
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
    $("who").textContent = nameOf(ticket.contact);
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

  // For another language.
  redraw() {
    this.attachments.clear();
    $("messages").replaceChildren();
    this.draw();
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
      wanted.push({
        key: JSON.stringify(message),
        make: () => bubble(message, this.ticket.contact, this.attachments.node(message)),
      });
    }
    this.attachments.keepOnly(this.messages);
    const present = new Map([...list.children].map((child) => [child.key, child]));
    wanted.forEach(({ key, make }, index) => {
      const child = present.get(key) ?? Object.assign(make(), { key });
      present.delete(key);
      if (list.children[index] !== child) list.insertBefore(child, list.children[index] ?? null);
    });
    for (const gone of present.values()) gone.remove();
  }
}
