// What a message says, by its type: text, or what a poll, a contact or a place shows beyond it.
//
// Everything here was written by somebody outside, so each thing is checked to be what it should.

import { element, isolated, link } from "./dom.js";
import { personIn } from "./persons.js";
import { texts } from "./texts.js";

const WEB = /^https?:\/\//i;

// The daemon's words for a file that came without any, and says itself what it is.
const LABELS = {
  image: ["[Imagem]"], sticker: ["[Figurinha]"], audio: ["[Áudio]"], document: ["[Documento]"],
  video: ["[Vídeo]", "[GIF]", "[Mensagem de vídeo]"],
};
const BODIES = { poll, contact: cards, location: place };

export function contentOf(message, contact) {
  if (message.deleted_at) return [element("p", "text removed", texts.deleted)];
  const body = BODIES[message.type]?.(message, contact) ?? text(message);
  return [...body, ...extras(message)];
}

function text(message) {
  if (isLabel(message)) return [];
  const isSaidByUs = message.type === "unsupported" || message.type === "call";
  const said = element("p", isSaidByUs ? "text label" : "text", message.content);
  said.title = message.metadata.whatsapp_type ?? "";
  return [said];
}

function isLabel({ type, content, media }) {
  const labels = (media?.url && LABELS[type]) || [];
  return labels.some((label) => content === label || content === `${label} ${media.filename}`);
}

function poll({ metadata: { question, options, votes, counts: sums } }, contact) {
  if (!Array.isArray(options)) return null;
  const list = element("ul", "poll");
  const counts = options.map((option, index) => tally(option, index, votes, sums, contact));
  const most = Math.max(1, ...counts.map(({ count }) => count));
  options.forEach((option, index) => {
    const { count, names } = counts[index];
    const item = element("li");
    const bar = element("meter");
    Object.assign(bar, { max: most, value: count });
    bar.setAttribute("aria-hidden", "true");
    item.append(element("bdi", "", option), element("span", "", texts.votes(count)), bar);
    item.title = names.map(isolated).join(", ");
    list.append(item);
  });
  return [
    element("p", "marks", Array.isArray(sums) ? texts.pollResult : texts.poll),
    element("p", "text question", question ?? ""),
    list,
  ];
}

// A poll has each person's votes, the published result of one has sums.
function tally(option, index, votes, sums, contact) {
  if (Array.isArray(sums)) return { count: Number(sums[index]) || 0, names: [] };
  if (!Array.isArray(votes)) return { count: 0, names: [] };
  const voters = votes.filter((vote) => vote.options?.includes(option));
  return { count: voters.length, names: voters.map((vote) => voterIn(vote, contact)) };
}

function voterIn({ sender_id: sender, sender_name: name }, contact) {
  if (sender === null) return personIn("me", null, contact);
  return contact?.is_group ? (name ?? sender.split("@")[0]) : personIn("them", name, contact);
}

function cards({ metadata: { contacts } }) {
  if (!Array.isArray(contacts)) return null;
  const list = element("ul", "cards");
  for (const { name, phones } of contacts) {
    const item = element("li");
    item.append(element("bdi", "", name ?? texts.contactCard));
    for (const phone of phones ?? []) item.append(link(`tel:${phone.replace(/[^\d+]/g, "")}`, phone));
    list.append(item);
  }
  return [list];
}

function place(message) {
  const { latitude, longitude, live } = message.metadata;
  if (typeof latitude !== "number" || typeof longitude !== "number") return null;
  const where = element("p", "place");
  const point = `${latitude},${longitude}`;
  where.append(
    link(`geo:${point}?q=${point}`, `${latitude.toFixed(5)}, ${longitude.toFixed(5)}`),
    link(`https://www.openstreetmap.org/?mlat=${latitude}&mlon=${longitude}#map=17/${latitude}/${longitude}`, texts.map),
  );
  return [element("p", "text", message.content), where];
}

// What a message of any type may have besides.
function extras({ content, metadata }) {
  const found = [];
  if (metadata.transcription) {
    const heard = element("blockquote", "transcription");
    heard.append(element("small", "", texts.transcription), element("p", "text", metadata.transcription));
    found.push(heard);
  }
  const choices = [metadata.buttons, metadata.rows].flat().filter((one) => typeof one === "string");
  if (metadata.button) choices.unshift(metadata.button);
  if (choices.length) {
    const list = element("ul", "choices");
    list.append(...choices.map((choice) => element("li", "", choice)));
    found.push(list);
  }
  found.push(...preview(metadata.link, metadata.link_title, metadata.link_description, content));
  return found;
}

// A web page that the text links to; what it says of itself was sent along.
function preview(href, title, description, content) {
  if (!title && !description) return [];
  const card = element("div", "preview-card");
  const heading = title ?? href;
  card.append(WEB.test(href) ? link(href, heading) : element("b", "", heading));
  if (description && !content.includes(description)) card.append(element("p", "", description));
  return [card];
}

// Where a customer came from, if it was by an ad.
export function adOf({ ad_title, ad_body, ad_url }) {
  if (!ad_title && !ad_body) return null;
  const note = element("p", "ad", `${texts.ad}: `);
  note.append(WEB.test(ad_url) ? link(ad_url, ad_title ?? ad_body) : element("bdi", "", ad_title ?? ad_body));
  return note;
}
