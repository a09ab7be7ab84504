// Who somebody is, in words: authors of messages, those who voted or reacted.

import { texts } from "./texts.js";

const OURSELVES = "me"; // as the daemon writes us in a poll's votes

// The author of a message; null where it says itself whose it is: the customer's, or ours.
export function authorOf({ direction, sender_name, sender_id }, contact) {
  if (!contact.is_group) return sender_name === contact.name ? null : sender_name;
  return sender_name ?? (direction === "in" ? byAddress(sender_id) : null);
}

// Who reacted; nobody's address means that it was our side.
export function reactorOf({ sender_id, sender_name }, contact) {
  if (sender_id === null) return sender_name ?? texts.us;
  return sender_name ?? (contact.is_group ? byAddress(sender_id) : contact.name);
}

export function personIn(who, name, contact) {
  if (who === OURSELVES) return texts.us;
  return name ?? (contact.is_group ? who.replace(/^.*:/, "") : contact.name);
}

// A JID as people know it: a number, if WhatsApp tells it.
function byAddress(jid) {
  const [user, server] = (jid ?? "").split("@");
  if (server === "s.whatsapp.net") return `+${user}`;
  return user ? `${texts.participant} …${user.slice(-4)}` : texts.participant;
}
