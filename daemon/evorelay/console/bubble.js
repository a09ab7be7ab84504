// One message as it is shown: whose it is, what it answers, what it says, what became of it.

import { adOf, contentOf } from "./contents.js";
import { element, isolated } from "./dom.js";
import { icon } from "./icons.js";
import { authorOf, reactorOf } from "./persons.js";
import { clock, moment, texts } from "./texts.js";

const TICKS = { pending: "◷", sent: "✓", delivered: "✓✓", read: "✓✓", played: "✓✓", failed: "✗" };
const OFTEN_FORWARDED = 4; // WhatsApp's own bound
const QUOTE_CHARS = 300;
const REACTIONS = ["👍", "❤️", "😂", "😮", "😢", "🙏"];

// `file` is the element that shows its file, or null; `quoted` the message it answers, if that is
// on the page; `onQuote` is called when somebody wants to see it, `onAnswer`, `onReact` (with an
// emoji), `onRetry` and `onTrace` when they want to do that.
export function bubble(message, { contact, file, quoted, onQuote, onAnswer, onReact, onRetry, onTrace }) {
  const { metadata } = message;
  const item = element("li", classesOf(message));
  const author = authorOf(message, contact);
  const parts = [
    author && element("bdi", "author", author),
    marks(message),
    adOf(metadata),
    (answered(message) || metadata.quoted) && quote(message, contact, quoted, onQuote),
    file,
    ...contentOf(message, contact),
    message.error && failure(message, onRetry),
    !message.is_internal && actions(message.whatsapp_id && !message.deleted_at, { onAnswer, onReact, onTrace }),
    foot(message),
    message.reactions.length && reactions(message.reactions, contact),
  ];
  item.append(...parts.filter(Boolean));
  return item;
}

// The WhatsApp id of the message that another one is about: quotes, or pins.
export const answered = ({ reply_to, metadata }) => reply_to ?? metadata.target ?? null;

function classesOf({ is_internal, direction, metadata }) {
  return [
    is_internal ? "internal" : direction,
    metadata.history && "history",
    metadata.album && "in-album",
  ].filter(Boolean).join(" ");
}

function marks({ metadata }) {
  const words = [
    metadata.forwarding_score >= OFTEN_FORWARDED ? texts.forwardedOften : metadata.forwarded && texts.forwarded,
    metadata.view_once && texts.viewOnce,
    metadata.gif && texts.gif,
    metadata.round && texts.round,
    metadata.album && texts.inAlbum,
    metadata.live && texts.liveLocation,
    metadata.status_post && texts.statusPost,
  ].filter(Boolean);
  return words.length ? element("p", "marks", words.join(" · ")) : null;
}

function quote(message, contact, quoted, onQuote) {
  const button = element("button", "quote");
  button.type = "button";
  button.title = texts.quoted;
  button.onclick = () => onQuote(answered(message));
  const author = quoted && (authorOf(quoted, contact) ?? (quoted.direction === "in" ? contact.name : texts.us));
  if (author) button.append(element("bdi", "author", author));
  else if (message.metadata.quoted_status_post) button.append(element("b", "", texts.statusPost));
  const said = quoted?.deleted_at ? texts.deleted : quoted?.content ?? message.metadata.quoted?.content;
  button.append(element("bdi", "", (said ?? texts.quoted).slice(0, QUOTE_CHARS)));
  return button;
}

function foot(message) {
  const { metadata } = message;
  const small = element("small");
  const note = (text, title) => {
    if (!text) return;
    const span = element("span", "", text);
    if (title) span.title = title;
    small.append(span, " · ");
  };
  note(message.is_internal && texts.internal);
  note(metadata.origin === "phone" && texts.phone);
  note(metadata.content_cut && texts.cut);
  if (message.edited_at && !message.deleted_at) {
    note(metadata.edit_unreadable ? texts.editUnreadable : texts.edited, moment(message.edited_at));
  }
  note(metadata.history && texts.imported);
  note(metadata.late && texts.late, texts.lateSince(moment(message.received_at)));
  const time = element("time", "", clock(message.created_at));
  time.dateTime = message.created_at;
  small.append(time);
  if (message.direction === "out" && !message.is_internal) small.append(tick(message.status));
  return small;
}

function tick(status) {
  const mark = element("span", `tick ${status}`, ` ${TICKS[status] ?? ""}`);
  mark.setAttribute("role", "img");
  mark.setAttribute("aria-label", texts.status[status] ?? status);
  mark.title = texts.status[status] ?? status;
  return mark;
}

function failure({ error, status }, onRetry) {
  const line = element("p", "error", texts.undelivered(isolated(error.message)));
  if (status === "failed") line.append(" ", action("retry", texts.again, texts.again, onRetry));
  return line;
}

// What can be done with a message: seen when the pointer or the focus is in it.
function actions(isOnWhatsApp, { onAnswer, onReact, onTrace }) {
  const line = element("p", "actions");
  const trace = action("", "", texts.trace, onTrace);
  trace.append(icon("trace"));
  if (!isOnWhatsApp) {
    line.append(trace);
    return line;
  }
  const emojis = REACTIONS.map((emoji) => action("emoji", emoji, texts.reactWith(emoji), () => onReact(emoji)));
  for (const one of emojis) one.hidden = true;
  const react = action("", "☺", texts.react, () => {
    for (const one of emojis) one.hidden = !one.hidden;
    react.setAttribute("aria-expanded", String(!emojis[0].hidden));
  });
  react.setAttribute("aria-expanded", "false");
  line.append(action("", "↩", texts.answer, onAnswer), react, ...emojis, trace);
  return line;
}

function action(className, text, label, onClick) {
  const made = element("button", className, text);
  made.type = "button";
  made.title = label;
  made.setAttribute("aria-label", label);
  made.onclick = onClick;
  return made;
}

function reactions(all, contact) {
  const byEmoji = new Map();
  for (const reaction of all) {
    const names = byEmoji.get(reaction.emoji) ?? [];
    byEmoji.set(reaction.emoji, [...names, isolated(reactorOf(reaction, contact))]);
  }
  const list = element("ul", "reactions");
  for (const [emoji, names] of byEmoji) {
    const item = element("li", "", emoji);
    if (names.length > 1) item.append(element("span", "", ` ${names.length}`));
    item.title = names.join(", ");
    item.setAttribute("aria-label", `${emoji} ${names.join(", ")}`);
    list.append(item);
  }
  return list;
}
