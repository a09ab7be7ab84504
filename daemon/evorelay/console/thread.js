// The messages of one ticket in reading order, and where in them the reader is.

import { Attachments } from "./attachments.js";
import { answered, bubble } from "./bubble.js";
import { $, element, keep } from "./dom.js";
import { day } from "./texts.js";

const KEPT_MAX = 1000;
const NEAR_END_PX = 60;
const POINTED_OUT_MS = 2000;

// By WhatsApp's time, then by arrival: ids grow with it.
function inReadingOrder(a, b) {
  return Date.parse(a.created_at) - Date.parse(b.created_at) || (a.id < b.id ? -1 : 1);
}

export class Thread {
  // `onRead` is called when the newest messages are on the page; `onAnswer`, `onReact`, `onRetry`
  // and `onTrace` with the message that somebody wants to do that with.
  constructor(live, token, { onRead, onAnswer, onReact, onRetry, onTrace, onNotLoaded, onProblem }) {
    this.live = live;
    this.acts = { onAnswer, onReact, onRetry, onTrace };
    this.onRead = onRead;
    this.onNotLoaded = onNotLoaded;
    this.onProblem = onProblem;
    this.attachments = new Attachments(token);
    this.ticket = null;
    this.messages = new Map();
    const scroll = $("scroll");
    $("older").onclick = () => this.load(this.before);
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

  close() { this.growth.disconnect(); }

  // Shows another ticket, empty until it is loaded; null shows none.
  show(ticket) {
    this.ticket = ticket;
    this.messages = new Map();
    this.removed = new Set();
    this.before = null;
    this.attachments.clear();
    $("messages").replaceChildren();
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
      if (this.messages !== messages || !this.ticket) return; // another one, or reloaded since
      for (const message of page.messages) {
        // An event that came meanwhile is as new as the page, or newer.
        if (!messages.has(message.id) && !this.removed.has(message.id)) messages.set(message.id, message);
      }
      this.before = page.next_cursor;
      const height = $("scroll").scrollHeight;
      this.draw();
      if (before === null) {
        this.atEnd = true;
        this.scrollDown();
        this.onRead();
      } else $("scroll").scrollTop += $("scroll").scrollHeight - height;
    } catch (problem) {
      this.onProblem(problem);
    }
  }

  put(message) {
    this.messages.set(message.id, message);
    this.draw();
  }

  // It turned out to be another one's double. A page that is on its way may still have it.
  remove(id) {
    this.removed.add(id);
    this.messages.delete(id);
    this.draw();
  }

  scrollDown() { $("scroll").scrollTop = $("scroll").scrollHeight; }

  // For another language.
  redraw() {
    this.attachments.clear();
    $("messages").replaceChildren();
    this.draw();
  }

  // Elements of unchanged messages stay, so that a selection in them survives.
  draw() {
    $("older").hidden = this.before === null;
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
      wanted.push({ key: JSON.stringify(message), make: () => this.bubble(message) });
    }
    this.attachments.keepOnly(this.messages);
    keep(list, wanted);
  }

  bubble(message) {
    const made = bubble(message, {
      contact: this.ticket.contact,
      file: this.attachments.node(message),
      quoted: this.find(answered(message)),
      onQuote: (whatsappId) => this.pointOut(whatsappId),
      onAnswer: () => this.acts.onAnswer(message),
      onReact: (emoji) => this.acts.onReact(message, emoji),
      onRetry: () => this.acts.onRetry(message),
      onTrace: () => this.acts.onTrace(message),
    });
    made.id = `message-${message.id}`;
    return made;
  }

  find(whatsappId) {
    if (whatsappId === null) return undefined;
    return [...this.messages.values()].find((message) => message.whatsapp_id === whatsappId);
  }

  // Brings a message into sight and marks it for a moment.
  pointOut(whatsappId) {
    const message = this.find(whatsappId);
    if (!message) {
      this.onNotLoaded();
      return;
    }
    const item = $(`message-${message.id}`);
    this.atEnd = false;
    item.scrollIntoView({ block: "center" });
    item.classList.add("pointed-out");
    setTimeout(() => item.classList.remove("pointed-out"), POINTED_OUT_MS);
  }
}
