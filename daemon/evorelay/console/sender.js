// What was written here and is not acknowledged yet: sent in each ticket's own order, again after a
// broken connection, under the same id, so that nothing is sent twice and nothing is lost while the
// page is open.

import { $, element, isolated } from "./dom.js";
import { refusal, texts } from "./texts.js";

const CLIENT_CODES_BELOW = 100; // the SDK's own: no connection, no answer
const TEMPORARY = new Set([100, 1003, 1018]); // internal, unavailable, outbox_full
const TICKET_CLOSED = 1010; // by somebody, or because another ticket took its place
const TRIES_MAX = 4; // that were answered; without a connection it waits however long that takes
const AGAIN_MS = 2000;
const SHOWN_AFTER_MS = 1500; // an acknowledgement usually comes sooner

export class Sender {
  constructor(live) {
    this.live = live;
    // { ticketId, params, tries, problem, isLate, isUnderWay }; the ticket it belongs to is not the
    // one it is addressed to after a merge, until that address is known not to have taken it.
    this.commands = [];
    this.ticket = null;
    this.render();
  }

  close() {
    this.isClosed = true;
    this.commands = [];
    $("unsent").replaceChildren();
  }

  // Shows what waits in this ticket; null shows nothing. It is sent whatever is shown.
  show(ticket) {
    this.ticket = ticket;
    this.render();
  }

  send(params) {
    const command = {
      ticketId: params.ticket_id,
      params: { ...params, op_id: crypto.randomUUID() },
      tries: 0,
      problem: null,
      isLate: false,
      isUnderWay: false,
    };
    this.commands.push(command);
    setTimeout(() => { command.isLate = true; this.render(); }, SHOWN_AFTER_MS);
    this.work(command.ticketId);
  }

  // What belongs to a ticket that was merged belongs to the one that took its place.
  moved(from, into) {
    for (const command of this.commands) if (command.ticketId === from) command.ticketId = into;
    this.render();
    this.work(into);
  }

  // One at a time in a ticket: what was written first arrives first. Tickets do not wait for each other.
  async work(ticketId) {
    const command = this.commands.find((one) => one.ticketId === ticketId && one.problem === null);
    if (!command || command.isUnderWay) return;
    command.isUnderWay = true;
    await this.attempt(command);
    command.isUnderWay = false;
    this.render();
    this.work(command.ticketId);
  }

  async attempt(command) {
    try {
      await this.live.tell("messages.send", command.params);
      this.drop(command);
    } catch (problem) {
      try {
        if (problem.code !== TICKET_CLOSED || !(await this.follow(command))) await this.wait(command, problem);
      } catch (unanswered) {
        await this.wait(command, unanswered);
      }
    }
  }

  // Addresses a command to the ticket that took the place of its own. Only a refusal says for sure
  // that it was not taken where it was addressed to, and so may be addressed anew. False if the
  // ticket is just closed.
  async follow(command) {
    if (command.params.ticket_id === command.ticketId) {
      const { merged_into: into } = await this.live.tell("tickets.get", { ticket_id: command.ticketId });
      if (into === null) return false;
      this.moved(command.ticketId, into);
    }
    command.params.ticket_id = command.ticketId;
    return true;
  }

  // Before the next attempt, if there is to be one without being asked for.
  async wait(command, problem) {
    const isUnanswered = problem.code < CLIENT_CODES_BELOW;
    if (!isUnanswered) command.tries += 1;
    if (isUnanswered || (TEMPORARY.has(problem.code) && command.tries < TRIES_MAX)) {
      await new Promise((done) => setTimeout(done, AGAIN_MS));
    } else command.problem = problem;
  }

  again(command) {
    Object.assign(command, { problem: null, tries: 0 });
    this.render();
    this.work(command.ticketId);
  }

  drop(command) {
    this.commands = this.commands.filter((one) => one !== command);
    this.render();
  }

  // The connection went or came back: what waits, waits for something else now.
  hear() { if (this.live.isConnected !== this.wasConnected) this.render(); }

  render() {
    if (this.isClosed) return;
    this.wasConnected = this.live.isConnected;
    const here = this.commands.filter(({ ticketId, problem, isLate }) =>
      ticketId === this.ticket?.id && (problem || isLate));
    $("unsent").replaceChildren(...here.map((command) => this.line(command)));
  }

  line(command) {
    const { params, problem, tries } = command;
    const item = element("li", problem ? "refused" : "");
    item.append(element("bdi", "", params.content || texts.file));
    const waits = !this.live.isConnected ? texts.unsentYet : tries ? texts.unsentSoon : texts.unsentUnanswered;
    item.append(element("span", "", problem ? texts.unsent(isolated(refusal(problem))) : waits));
    if (problem) {
      item.append(
        button(texts.again, () => this.again(command)),
        button(texts.discard, () => this.drop(command)),
      );
    }
    return item;
  }
}

function button(text, onClick) {
  const made = element("button", "", text);
  made.type = "button";
  made.onclick = onClick;
  return made;
}
