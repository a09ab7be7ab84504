// What an agent decides about the open ticket: whose it is, and whether it is done.

import { $, button } from "./dom.js";
import { refusal, texts } from "./texts.js";

const SUPERVISORS = ["supervisor", "admin"];

export class Deeds {
  // `onSaid` is called with a function that says why something was refused.
  constructor(live, onSaid) {
    this.live = live;
    this.onSaid = onSaid;
    this.ticket = null;
  }

  // `ticket` null: there is none.
  show(ticket) {
    this.ticket = ticket;
    const key = JSON.stringify([ticket?.id, ticket?.status, ticket?.assignee, this.live.user, texts.claim]);
    if (key === this.key) return;
    this.key = key;
    const focused = document.activeElement?.closest("#deeds") ? document.activeElement.dataset.deed : null;
    $("deeds").replaceChildren(...(ticket ? this.possible() : []).map((deed) => this.button(deed)));
    if (focused) ($("deeds").querySelector(`[data-deed=${focused}]`) ?? $("deeds").firstChild)?.focus();
  }

  possible() {
    const { status, assignee } = this.ticket;
    if (status === "closed") return []; // where one would write stands how to reopen it
    const isOurs = assignee === this.live.user;
    const whose = isOurs ? ["release"] : assignee === null ? ["claim"] : this.maySupervise ? ["takeOver"] : [];
    return [...whose, status === "open" ? "setPending" : "setOpen", "close"];
  }

  get maySupervise() { return SUPERVISORS.includes(this.live.role); }

  button(deed) {
    const made = button(texts[deed === "close" ? "closeTicket" : deed], () => this.do(deed));
    made.dataset.deed = deed;
    return made;
  }

  // True if it is something that can be done now.
  may(deed) { return this.ticket !== null && this.possible().includes(deed); }

  async do(deed) {
    const { id: ticket_id } = this.ticket;
    const calls = {
      claim: ["tickets.claim"],
      release: ["tickets.release"],
      close: ["tickets.close"],
      takeOver: ["tickets.update", { assignee: this.live.user }],
      setPending: ["tickets.update", { status: "pending" }],
      setOpen: ["tickets.update", { status: "open" }],
    };
    const [method, more] = calls[deed];
    try {
      await this.live.tell(method, { ticket_id, ...more });
    } catch (problem) {
      if (this.ticket?.id === ticket_id) this.onSaid(() => texts.notDone(refusal(problem)));
    }
  }
}
