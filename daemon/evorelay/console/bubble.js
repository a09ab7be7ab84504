// One message as it is shown.

import { element } from "./dom.js";
import { clock, texts } from "./texts.js";

const TICKS = { pending: "◷", sent: "✓", delivered: "✓✓", read: "✓✓", played: "✓✓", failed: "✗" };

// The daemon's words for a file that came without any, and says itself what it is.
const LABELS = {
  image: "[Imagem]", sticker: "[Figurinha]", audio: "[Áudio]", video: "[Vídeo]", document: "[Documento]",
};

// `file` is the element that shows its file, or null.
export function bubble(message, contact, file) {
  const item = element("li", message.is_internal ? "internal" : message.direction);
  if (message.sender_name && message.sender_name !== contact.name) {
    item.append(element("b", "", message.sender_name));
  }
  if (file) item.append(file);
  if (!isLabel(message)) {
    item.append(element(message.deleted_at ? "s" : "p", "text", message.content));
  }
  const notes = [
    message.is_internal && texts.internal,
    message.edited_at && texts.edited,
    message.deleted_at && texts.deleted,
    clock(message.created_at),
  ].filter(Boolean);
  const foot = element("small", "", notes.join(" · "));
  if (message.direction === "out") foot.append(tick(message.status));
  item.append(foot);
  if (message.reactions.length) {
    item.append(element("span", "reactions", message.reactions.map((one) => one.emoji ?? one.text ?? "").join(" ")));
  }
  return item;
}

function isLabel({ type, content, media }) {
  const label = media?.url && LABELS[type];
  return Boolean(label) && (content === label || content === `${label} ${media.filename}`);
}

function tick(status) {
  const mark = element("span", `tick ${status}`, ` ${TICKS[status] ?? ""}`);
  mark.setAttribute("role", "img");
  mark.setAttribute("aria-label", texts.status[status] ?? status);
  mark.title = texts.status[status] ?? status;
  return mark;
}
