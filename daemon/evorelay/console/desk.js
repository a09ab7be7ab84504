// What there is while somebody is signed in: the connection, the instances, the inbox with one open
// conversation, and for operators the other views. Here they are told of each other.

import { Behind } from "./behind.js";
import { Conversation } from "./conversation.js";
import { $ } from "./dom.js";
import { Instances } from "./instances.js";
import { Live } from "./live.js";
import { Tickets } from "./tickets.js";
import { Trace } from "./trace.js";
import { addressOf, Views } from "./views.js";

const INSTANCES_EVERY_MS = 10_000;

export class Desk {
  // `instances` is what /v1/instances said. `onState` is called when the connection changes,
  // `onProblem` with what failed, `onSignedOut`, `onEnd` and `onRefused` as Live has them.
  constructor(token, rest, instances, { onState, onProblem, onSignedOut, onEnd, onRefused }) {
    this.rest = rest;
    this.onProblem = onProblem;
    this.live = new Live(token, {
      onChange: () => { onState(); this.conversation?.composer.sender.hear(); },
      onConnected: () => { this.views.allow(this.live.role); this.tickets.render(); },
      onSignedOut,
      onEnd,
      onRefused,
    });
    this.trace = new Trace(rest);
    this.conversation = new Conversation(this.live, token, {
      onRead: (id) => this.tickets.read(id),
      onSeen: (event) => this.tickets.seen(event),
      onMoved: (ticket) => {
        this.tickets.mark(ticket.id);
        if (this.views.shown === "inbox") history.replaceState(null, "", addressOf("inbox", ticket.id));
      },
      onTrace: (message) => this.trace.open(message.id),
      onProblem,
    });
    this.tickets = new Tickets(this.live, {
      onChoose: (ticket) => {
        const address = addressOf("inbox", ticket.id);
        if (location.hash !== address) history.pushState(null, "", address);
        this.conversation.open(ticket);
      },
      onProblem,
    });
    this.instances = new Instances((name) => this.follow(name));
    this.views = new Views({ rest, instances: this.instances, trace: this.trace }, (id, isReturning) => this.inbox(id, isReturning));
    this.instances.show(instances);
    this.live.connect();
    this.behind = new Behind((isBehind) => this.live.hearBehind(isBehind));
    this.behind.start();
    this.tickets.reload();
    this.timer = setInterval(() => this.readInstances(), INSTANCES_EVERY_MS);
  }

  close() {
    clearInterval(this.timer);
    this.behind.close();
    this.views.close();
    this.trace.close();
    this.tickets.close();
    this.conversation.close();
    this.instances.close();
    this.live.close();
  }

  follow(name) {
    this.live.watch(`inbox:${name}`, {
      onEvent: (event) => {
        this.tickets.handle(event);
        if (event.type === "ticket.merged") this.conversation.merged(event);
      },
      onReload: () => this.tickets.reload(),
    });
    this.live.watch(`instance:${name}`, { onEvent: (event) => this.instances.put(event.instance) });
  }

  // An instance nobody knew yet appears with its first webhook.
  async readInstances() {
    try {
      this.instances.show((await this.rest.get("/v1/instances")).instances);
    } catch {
      // the connection's own state tells it
    }
  }

  // The address wants the inbox, with a ticket or without. Who comes back from another view finds
  // the conversation that was open.
  async inbox(id, isReturning) {
    const open = this.conversation.ticket;
    if (id === null && open && isReturning) {
      history.replaceState(null, "", addressOf("inbox", open.id));
      id = open.id;
    }
    if (id === (open?.id ?? null)) this.conversation.tellRead();
    else if (id === null) this.leave();
    else await this.openById(id);
  }

  leave() {
    this.conversation.leave();
    this.tickets.mark(null);
  }

  async openById(id) {
    let ticket = this.tickets.tickets.get(id);
    try {
      await this.live.ready();
      ticket ??= await this.live.call("tickets.get", { ticket_id: id });
      if (ticket.merged_into !== null) ticket = await this.live.call("tickets.get", { ticket_id: ticket.merged_into });
      if (location.hash !== addressOf("inbox", id)) return;
      this.tickets.mark(ticket.id);
      this.conversation.enter(ticket);
      requestAnimationFrame(() => this.tickets.reveal());
    } catch (problem) {
      this.leave();
      this.onProblem(problem);
    }
  }

  redraw() {
    this.instances.render();
    this.tickets.render();
    this.conversation.redraw();
    this.views.redraw();
  }

  // What single keys do; each returns whether it did something.
  get keys() {
    const inInbox = (deed) => () => this.views.shown === "inbox" && deed();
    const deed = (name) => inInbox(() => this.conversation.deeds.may(name) && (this.conversation.deeds.do(name), true));
    return {
      "/": inInbox(() => ($("search").select(), $("search").focus(), true)),
      j: inInbox(() => this.tickets.step(1)),
      k: inInbox(() => this.tickets.step(-1)),
      r: inInbox(() => this.conversation.ticket !== null && ($("text").focus(), true)),
      c: deed("claim"),
      e: deed("close"),
    };
  }

  // Escape: from the conversation back to the list, on a phone out of it.
  escape() {
    if (this.views.shown !== "inbox" || !this.conversation.ticket) return;
    if (getComputedStyle($("tickets")).display === "none") location.hash = addressOf("inbox");
    else this.tickets.focus();
  }
}
