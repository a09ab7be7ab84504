// How many messages of each ticket this agent has not seen.
//
// The daemon's answers carry the agent's own counts; its events go to everybody and cannot. So
// between two answers the count is kept here, and where an answer and an event cross each other,
// a message counts once.

const CROSSING_MS = 2000;

export class Unread {
  // `onChange` is called when another tab of this agent has read a ticket.
  constructor(live, onChange) {
    this.live = live;
    this.counts = new Map(); // by ticket
    this.answers = new Map(); // ticket -> the last answer about it, and when it came
    this.asking = 0;
    this.meanwhile = new Map(); // ticket -> what came in while an answer is awaited
    this.tabs = new BroadcastChannel("evorelay.seen");
    this.tabs.onmessage = ({ data }) => {
      if (data.user !== this.live.user) return;
      this.seen(data.ticket_id);
      onChange();
    };
  }

  close() { this.tabs.close(); }

  of(ticketId) { return this.counts.get(ticketId) ?? 0; }

  // Asks `question` and takes the counts of the tickets that are in its answer.
  async counted(question, ticketsOf = (ticket) => [ticket]) {
    this.asking += 1;
    try {
      const answer = await question();
      for (const ticket of ticketsOf(answer)) this.answered(ticket);
      return answer;
    } finally {
      this.asking -= 1;
      if (this.asking === 0) this.meanwhile.clear();
    }
  }

  // This agent reads a ticket now: its other tabs and the daemon are told.
  async read(ticketId) {
    await this.counted(() => this.live.tell("seen", { ticket_id: ticketId }));
    this.tabs.postMessage({ user: this.live.user, ticket_id: ticketId });
  }

  answered(ticket) {
    this.answers.set(ticket.id, { ticket, at: Date.now() });
    const { isSeen, messages } = this.meanwhile.get(ticket.id) ?? { messages: [] };
    const before = isSeen ? 0 : ticket.unread;
    this.counts.set(ticket.id, before + messages.filter((one) => isSeen || !includes(ticket, one)).length);
  }

  arrived(message) {
    if (message.direction !== "in" || message.metadata.history) return;
    const id = message.ticket_id;
    const answer = this.answers.get(id);
    if (answer) {
      if (Date.now() - answer.at > CROSSING_MS) this.answers.delete(id);
      else if (includes(answer.ticket, message)) return;
    }
    this.counts.set(id, this.of(id) + 1);
    if (this.asking) this.crossing(id).messages.push(message);
  }

  seen(ticketId) {
    this.counts.set(ticketId, 0);
    if (this.asking) Object.assign(this.crossing(ticketId), { isSeen: true, messages: [] });
  }

  merged(from, into) {
    this.counts.set(into, this.of(into) + this.of(from));
    this.forget(from);
  }

  forget(ticketId) {
    this.counts.delete(ticketId);
    this.answers.delete(ticketId);
  }

  crossing(id) {
    if (!this.meanwhile.has(id)) this.meanwhile.set(id, { isSeen: false, messages: [] });
    return this.meanwhile.get(id);
  }
}

// Whether what was answered about a ticket knows a message already. Of late ones nothing tells.
function includes({ last_message_at, last_message }, message) {
  if (message.metadata.late || last_message_at === null) return false;
  const [sent, known] = [Date.parse(message.created_at), Date.parse(last_message_at)];
  return sent === known ? message.content.startsWith(last_message) : sent < known;
}
