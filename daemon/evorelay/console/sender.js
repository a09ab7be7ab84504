// What was written here and is not acknowledged yet: sent in order, again after a broken connection,
// under the same id, so that nothing is sent twice and nothing is lost while the page is open.

import { $, element, isolated } from "./dom.js";
import { refusal, texts } from "./texts.js";

const CLIENT_CODES_BELOW = 100; // the SDK's own: no connection, no answer
const TEMPORARY = new Set([100, 1003, 1018]); // internal, unavailable, outbox_full
const AGAIN_MS = 2000;
const SHOWN_AFTER_MS = 1500; // an acknowledgement usually comes sooner

export class Sender {
  constructor(live) {
    this.live = live;
    this.commands = []; // { params, problem, isLate }
    this.ticket = null;
    this.render();
  }

  close() {
    clearTimeout(this.timer);
    this.commands = [];
    this.render();
  }

  // Shows what waits in this ticket; null shows nothing. It is sent whatever is shown.
  show(ticket) {
    this.ticket = ticket;
    this.render();
  }

  send(params) {
    const command = { params: { ...params, op_id: crypto.randomUUID() }, problem: null, isLate: false };
    this.commands.push(command);
    setTimeout(() => { command.isLate = true; this.render(); }, SHOWN_AFTER_MS);
    this.work();
  }

  // One at a time: what was written first arrives first.
  async work() {
    const command = this.commands.find(({ problem }) => problem === null);
    if (this.working || !command) return;
    this.working = true;
    try {
      await this.live.tell("messages.send", command.params);
      this.drop(command);
    } catch (problem) {
      if (!(problem.code < CLIENT_CODES_BELOW || TEMPORARY.has(problem.code))) command.problem = problem;
      else {
        await new Promise((done) => { this.timer = setTimeout(done, AGAIN_MS); });
      }
    } finally {
      this.working = false;
      this.render();
    }
    this.work();
  }

  drop(command) {
    this.commands = this.commands.filter((one) => one !== command);
    this.render();
  }

  render() {
    const here = this.commands.filter(({ params, problem, isLate }) =>
      params.ticket_id === this.ticket?.id && (problem || isLate));
    $("unsent").replaceChildren(...here.map((command) => this.line(command)));
  }

  line(command) {
    const { params, problem } = command;
    const item = element("li", problem ? "refused" : "");
    item.append(element("bdi", "", params.content || texts.file));
    item.append(element("span", "", problem ? texts.unsent(isolated(refusal(problem))) : texts.unsentYet));
    if (problem) {
      item.append(
        button(texts.again, () => { command.problem = null; this.render(); this.work(); }),
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
