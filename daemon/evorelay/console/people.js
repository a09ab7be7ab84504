// Who is in a group: read when somebody opens the list.

import { $, element } from "./dom.js";
import { texts } from "./texts.js";

export class People {
  constructor(live, onProblem) {
    this.live = live;
    this.onProblem = onProblem;
    $("people").onbeforetoggle = ({ newState }) => { if (newState === "open") this.load(); };
  }

  // `ticket` null: there is none.
  show(ticket) {
    if (this.ticket?.id !== ticket?.id && $("people").matches(":popover-open")) $("people").hidePopover();
    this.ticket = ticket;
    $("show-people").hidden = !ticket?.contact.is_group;
  }

  async load() {
    const { ticket } = this;
    $("people").style.top = `${$("show-people").getBoundingClientRect().bottom + 6}px`;
    $("people").replaceChildren();
    try {
      const { participants } = await this.live.tell("tickets.participants", { ticket_id: ticket.id });
      if (ticket !== this.ticket) return;
      const items = participants.map(line);
      $("people").replaceChildren(...(items.length ? items : [element("li", "", texts.peopleEmpty)]));
    } catch (problem) {
      this.onProblem(problem);
    }
  }
}

function line({ name, phone, jid, role }) {
  const item = element("li");
  item.append(element("bdi", "name", name || jid));
  if (phone) item.append(element("span", "", `+${phone}`));
  if (role && role !== "member") item.append(element("em", "", texts.admin));
  return item;
}
