// Where an agent writes: a reply or a note, perhaps with a file, perhaps about an earlier message.

import { $, element, isolated } from "./dom.js";
import { Sender } from "./sender.js";
import { bytes, refusal, texts } from "./texts.js";

const TYPING_EVERY_MS = 3000;
const QUOTE_CHARS = 120;
const WITHOUT_CAPTION = ["audio", "sticker"];
const nothing = () => ({ text: "", isNote: false, quoted: null, file: null });

export class Composer {
  constructor(live, token, { onProblem }) {
    this.live = live;
    this.headers = token ? { Authorization: `Bearer ${token}` } : {};
    this.onProblem = onProblem;
    this.sender = new Sender(live);
    this.ticket = null;
    this.quoted = null;
    this.file = null; // { name, size, state, id, kind, problem }
    this.drafts = new Map(); // by ticket: what was begun there
    $("composer").onsubmit = (event) => { event.preventDefault(); this.submit(); };
    $("text").onkeydown = (event) => this.key(event);
    $("text").oninput = () => this.typed();
    $("note").onchange = () => this.draw();
    $("attach").onclick = () => $("file").click();
    $("file").onchange = () => this.attach($("file").files[0]);
    $("text").onpaste = (event) => this.attach(event.clipboardData.files[0]);
    $("detach").onclick = () => this.detach();
    $("unquote").onclick = () => { this.answer(null); $("text").focus(); };
    $("reopen").onclick = () => this.reopen();
  }

  close() {
    this.show(null);
    this.sender.close();
  }

  // Writes in this ticket from now on; null in none. The same one again is the ticket as it is now,
  // or the page in another language.
  show(ticket) {
    if (ticket?.id !== this.ticket?.id) {
      if (this.ticket) this.drafts.set(this.ticket.id, this.draft());
      this.begin(this.drafts.get(ticket?.id) ?? nothing());
      this.drafts.delete(ticket?.id);
    }
    // To a closed ticket nothing is sent; what colleagues should know can still be kept.
    const isClosed = ticket?.status === "closed";
    if (isClosed !== $("note").disabled) $("note").checked = $("note").disabled = isClosed;
    this.ticket = ticket;
    this.sender.show(ticket);
    this.draw();
  }

  draft() {
    const note = $("note");
    return { text: $("text").value, isNote: note.checked && !note.disabled, quoted: this.quoted, file: this.file };
  }

  begin({ text, isNote, quoted, file }) {
    if ($("text").value !== text) $("text").value = text; // the caret stays in what stays
    $("note").disabled = false;
    $("note").checked = isNote;
    Object.assign(this, { quoted, file });
  }

  // What was begun, or waits, in a ticket that was merged goes on in the one that took its place.
  moved(from, ticket) {
    this.sender.moved(from, ticket.id);
    const isOpen = [from, ticket.id].includes(this.ticket?.id);
    if (isOpen) this.drafts.set(this.ticket.id, this.draft());
    const there = this.drafts.get(ticket.id) ?? nothing();
    const here = this.drafts.get(from) ?? nothing();
    this.drafts.delete(from);
    const both = {
      text: [there.text, here.text].filter(Boolean).join("\n"),
      isNote: there.isNote || here.isNote, // rather kept in the house than sent by mistake
      quoted: here.quoted ?? there.quoted,
      file: here.file ?? there.file,
    };
    this.drafts.set(ticket.id, both);
    if (!isOpen) return;
    this.ticket = null;
    this.show(ticket);
  }

  // A message was taken away; the one that stays, if it is known, is what was meant.
  replaced(id, by) {
    if (this.quoted?.id === id) this.answer(by ?? null);
  }

  // The next reply answers this message.
  answer(message) {
    this.quoted = message;
    if (message && !$("note").disabled) $("note").checked = false;
    this.draw();
    if (message) $("text").focus();
  }

  // Our side has one reaction to a message: the same again takes it back.
  react(message, emoji) {
    const ours = message.reactions.find(({ sender_id }) => sender_id === null);
    const content = ours?.emoji === emoji ? "" : emoji;
    this.sender.send({ ticket_id: message.ticket_id, type: "reaction", content, reply_to: message.id });
  }

  async retry(message) {
    try {
      await this.live.tell("messages.retry", { message_id: message.id });
    } catch (problem) {
      this.onProblem(problem);
    }
  }

  key(event) {
    if (event.key === "Escape" && this.quoted) this.answer(null);
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    this.submit();
  }

  typed() {
    if (Date.now() - (this.toldTyping ?? 0) < TYPING_EVERY_MS) return;
    this.toldTyping = Date.now();
    this.live.tell("typing", { ticket_id: this.ticket.id }).catch(() => {}); // a courtesy, no more
  }

  submit() {
    const content = $("text").value.replaceAll("\0", "").trim();
    const { file } = this;
    // What was written for a file is not sent without it.
    if (!this.ticket || (file ? file.state !== "here" : !content)) return;
    const common = { ticket_id: this.ticket.id };
    if ($("note").checked) common.is_internal = true;
    const params = { ...common, content };
    if (this.quoted) params.reply_to = this.quoted.id;
    if (file) params.media = { id: file.id };
    const isApart = file && content && WITHOUT_CAPTION.includes(file.kind);
    this.sender.send(isApart ? { ...params, content: "" } : params);
    if (isApart) this.sender.send({ ...common, content });
    $("text").value = "";
    this.quoted = null;
    this.detach();
    this.draw();
    $("text").focus();
  }

  // Hands a file in at once; it goes with the next reply.
  async attach(chosen) {
    $("file").value = "";
    if (!chosen) return;
    const file = { name: chosen.name, size: chosen.size, state: "loading", id: null, kind: null };
    this.file = file;
    this.draw();
    try {
      const answer = await fetch(`/v1/media?filename=${encodeURIComponent(chosen.name)}`, {
        method: "POST",
        headers: { ...this.headers, "Content-Type": chosen.type || "application/octet-stream" },
        body: chosen,
      });
      const said = await answer.json();
      if (!answer.ok) throw new Error(said.error.message);
      Object.assign(file, { id: said.id, kind: said.kind, state: "here" });
    } catch (problem) {
      Object.assign(file, { state: "failed", problem: refusal(problem) });
    }
    if (this.file === file) this.draw();
  }

  detach() {
    this.file = null;
    this.draw();
  }

  async reopen() {
    try {
      await this.live.tell("tickets.reopen", { ticket_id: this.ticket.id });
    } catch (problem) {
      this.onProblem(problem);
    }
  }

  draw() {
    const isNote = $("note").checked;
    $("closed").hidden = this.ticket?.status !== "closed";
    $("composer").classList.toggle("noting", isNote);
    $("text").placeholder = isNote ? texts.writeNote : texts.write;
    $("send").textContent = isNote ? texts.keep : texts.send;
    $("quoting").hidden = !this.quoted;
    if (this.quoted) {
      const said = element("bdi", "", this.quoted.content.slice(0, QUOTE_CHARS));
      $("quoting-text").replaceChildren(`${texts.answering}: `, said);
    }
    $("attached").hidden = !this.file;
    if (this.file) $("attached-text").textContent = this.attachedText();
  }

  attachedText() {
    const { name, size, state, kind, problem } = this.file;
    const named = `${isolated(name)} (${bytes(size)})`;
    if (state === "loading") return texts.uploading(named);
    if (state === "failed") return texts.notUploaded(named, isolated(problem));
    return WITHOUT_CAPTION.includes(kind) ? texts.textFollows(named) : named;
  }
}
