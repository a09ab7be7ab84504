// The ticket under the reader's eyes, as it happens: its messages, who else is there, who types.

import { Composer } from "./composer.js";
import { Deeds } from "./deeds.js";
import { $, element, isolated } from "./dom.js";
import { People } from "./people.js";
import { texts } from "./texts.js";
import { Thread } from "./thread.js";
import { updateWait, waitOf } from "./ticket-line.js";

const TYPING_MS = 6000;
const NOTICE_MS = 15_000;

export class Conversation {
  // `onRead` is called, and awaited, with the id of the ticket whose messages are being read;
  // `onSeen` with the event that somebody read it elsewhere; `onMoved` with the ticket that took
  // its place; `onTrace` with the message whose way somebody wants to see.
  constructor(live, token, { onRead, onSeen, onMoved, onTrace, onProblem }) {
    this.live = live;
    this.onRead = onRead;
    this.onSeen = onSeen;
    this.onMoved = onMoved;
    this.onProblem = onProblem;
    this.ticket = null;
    this.people = new People(live, onProblem);
    this.deeds = new Deeds(live, (what) => this.say(what));
    this.composer = new Composer(live, token, { onProblem });
    this.thread = new Thread(live, token, {
      onAnswer: (message) => this.composer.answer(message),
      onReact: (message, emoji) => this.composer.react(message, emoji),
      onRetry: (message) => this.composer.retry(message),
      onTrace,
      onRead: () => { this.unseen = true; this.tellRead(); },
      onNotLoaded: () => this.say(() => texts.notLoaded),
      onProblem,
    });
    document.onvisibilitychange = () => this.tellRead();
  }

  close() {
    this.leave();
    this.thread.close();
    this.composer.close();
  }

  // For one who chose it from the list; who came by its address keeps the focus they have.
  open(ticket) {
    this.enter(ticket);
    $("scroll").focus();
  }

  enter(ticket) {
    this.stop();
    this.ticket = ticket;
    this.others = null; // who else is looking, once it is known
    this.unseen = false;
    this.thread.show(ticket);
    this.subscription = this.live.watch(`ticket:${ticket.id}`, {
      onEvent: (event) => this.handle(event),
      onReload: () => this.reload(),
      onMembers: () => this.readOthers(),
    });
    this.draw();
  }

  leave() {
    this.stop();
    this.draw();
  }

  stop() {
    if (this.subscription) this.live.unwatch(this.subscription);
    this.subscription = this.ticket = null;
    this.thread.show(null);
    this.stopTyping();
    this.say(null);
  }

  // Events before now were not delivered: the ticket may be another one's by now.
  async reload() {
    const { id } = this.ticket;
    this.thread.reload();
    try {
      const ticket = await this.live.call("tickets.get", { ticket_id: id });
      if (this.ticket?.id !== id) return;
      if (ticket.merged_into === null) this.ticket = ticket;
      else {
        const into = await this.live.call("tickets.get", { ticket_id: ticket.merged_into });
        this.merged({ ticket_id: id, ticket: into });
      }
    } catch (problem) {
      this.onProblem(problem);
    }
    this.draw();
  }

  // The messages of `ticket_id` are another ticket's now. If it is open, that one takes its place;
  // what was begun in it goes on there in any case. Channel and inbox both tell it.
  merged({ ticket_id: from, ticket }) {
    this.composer.moved(from, ticket);
    if (this.ticket?.id !== from) return;
    this.enter(ticket);
    this.onMoved(ticket);
    this.say(() => texts.merged);
  }

  handle(event) {
    switch (event.type) {
      case "typing": this.showTyping(event); return;
      case "seen": this.onSeen(event); return;
      case "ticket.merged":
        if (event.ticket_id === this.ticket.id) { this.merged(event); return; }
        this.composer.moved(event.ticket_id, event.ticket);
        this.ticket = event.ticket;
        this.thread.reload();
        this.say(() => texts.movedHere);
        break;
      case "ticket.unmerged":
        if (event.ticket_id === this.ticket.id) this.ticket = event.ticket;
        this.thread.reload();
        break;
      case "ticket.erased":
        this.leave();
        return;
      case "message.created":
      case "message.updated":
        this.take(event);
        break;
      case "message.removed":
        this.composer.replaced(event.message_id, this.thread.messages.get(event.replaced_by));
        this.thread.remove(event.message_id);
        break;
      default:
        if (event.ticket?.id === this.ticket.id) this.ticket = event.ticket;
    }
    this.draw();
  }

  take({ type, message }) {
    if (type === "message.created") updateWait(this.ticket, message);
    if (message.direction === "out") this.stopTyping();
    else if (type === "message.created") this.unseen = true;
    this.thread.put(message);
    this.tellRead();
  }

  // Nothing of an open ticket is unread while somebody looks at it. One call at a time: what comes
  // meanwhile is told by the next.
  async tellRead() {
    if (!this.unseen || this.telling || !this.ticket || document.hidden || $("desk").hidden) return;
    this.unseen = false;
    this.telling = true;
    try {
      await this.onRead(this.ticket.id);
    } catch {
      this.unseen = true; // told with the next message, or when the page is loaded again
      return;
    } finally {
      this.telling = false;
    }
    this.tellRead();
  }

  async readOthers() {
    const { subscription } = this;
    try {
      const { clients } = await subscription.presence();
      if (subscription !== this.subscription) return;
      const names = Object.values(clients)
        .filter(({ user }) => user !== this.live.user)
        .map(({ user, connInfo }) => connInfo?.name ?? user);
      this.others = [...new Set(names)].sort();
    } catch {
      if (subscription === this.subscription) this.others = null; // the next join or leave asks again
    }
    this.draw();
  }

  showTyping({ name, user, is_typing }) {
    this.stopTyping();
    if (!is_typing) return;
    $("typing").textContent = texts.typing(isolated(name ?? user));
    this.typingTimer = setTimeout(() => this.stopTyping(), TYPING_MS);
  }

  stopTyping() {
    clearTimeout(this.typingTimer);
    $("typing").textContent = "";
  }

  // Says something about the conversation for a while; `what` says it in the current language.
  say(what) {
    clearTimeout(this.noticeTimer);
    this.notice = what;
    $("notice").textContent = what ? what() : "";
    if (what) this.noticeTimer = setTimeout(() => this.say(null), NOTICE_MS);
  }

  draw() {
    const { ticket } = this;
    $("nothing-open").hidden = ticket !== null;
    $("open-ticket").hidden = ticket === null;
    document.body.classList.toggle("reading", ticket !== null);
    this.people.show(ticket);
    this.composer.show(ticket);
    this.deeds.show(ticket);
    if (ticket === null) return;
    this.thread.ticket = ticket;
    $("who").textContent = ticket.contact.name;
    const facts = [
      ticket.subject,
      ticket.contact.phone && `+${ticket.contact.phone}`,
      ticket.instance,
      texts.ticket[ticket.status],
      ticket.assignee ?? texts.nobody,
    ].filter(Boolean);
    const wait = waitOf(ticket);
    const parts = [...facts.map((fact) => element("bdi", "", fact)), ...(wait.hidden ? [] : [wait])];
    $("facts").replaceChildren(...parts.flatMap((part, index) => (index ? [" · ", part] : [part])));
    $("presence").classList.toggle("alone", this.others?.length === 0);
    $("presence").textContent = this.others === null ? "" : texts.watching(this.others.map(isolated));
  }

  // For another language.
  redraw() {
    this.draw();
    this.say(this.notice);
    if (this.ticket) this.thread.redraw();
  }
}
