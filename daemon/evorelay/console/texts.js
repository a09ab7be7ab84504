// The console's words, in English and Portuguese.

const TEXTS = {
  en: {
    signIn: "Sign in",
    signInHelp: "Paste a token. `evorelay urls` prints an address that signs you in at once.",
    token: "Token",
    signOut: "Sign out",
    badToken: "This token does not work here.",
    expired: "Your token has expired. Sign in again.",
    otherLanguage: "Português",
    show: "Show",
    open: "Open",
    pending: "Pending",
    closed: "Closed",
    all: "All",
    more: "More tickets",
    older: "Earlier messages",
    noTickets: "No tickets here. They appear by themselves when somebody writes.",
    nothingOpen: "Choose a ticket to read its conversation.",
    back: "← Tickets",
    nobody: "unassigned",
    unread: (count) => `${count} unread`,
    live: "Live",
    catchingUp: "Catching up…",
    connecting: "Connecting…",
    stale: (time) => `Not connected. What you see is from ${time}.`,
    ended: (reason) => `The server ended the connection: ${reason}. Reload the page.`,
    failed: (reason) => `This could not be loaded: ${reason}`,
    refused: (origin) => `Refused: this address is not in auth.allowed_origins. Add ${origin} there, or open the console at an address that is in it.`,
    watching: (count) => (count === 1 ? "only you are watching" : `${count} people are watching`),
    typing: (name) => `${name} is typing…`,
    deleted: "deleted",
    edited: "edited",
    internal: "internal note",
    group: (number) => `Group ${number}`,
    picture: { image: "picture", sticker: "sticker", video: "video", document: "first page" },
    download: (name, size) => `↓ ${name}${size && ` (${size})`}`,
    fileGone: "This file is no longer kept.",
    instances: (count, closed, connecting) => [
      count === 1 ? "1 instance" : `${count} instances`,
      closed && `${closed} disconnected`,
      connecting && `${connecting} connecting`,
    ].filter(Boolean).join(", "),
    instancesLeft: (count) => `${count} more are not followed here`,
    unreported: "no state reported",
    ticket: { open: "open", pending: "pending", closed: "closed" },
    instance: { open: "connected", connecting: "connecting", close: "disconnected", unknown: "unknown" },
    status: { pending: "waiting", sent: "sent", delivered: "delivered", read: "read", played: "played", failed: "failed" },
  },
  pt: {
    signIn: "Entrar",
    signInHelp: "Cole um token. `evorelay urls` mostra um endereço que já entra direto.",
    token: "Token",
    signOut: "Sair",
    badToken: "Este token não serve aqui.",
    expired: "Seu token expirou. Entre de novo.",
    otherLanguage: "English",
    show: "Mostrar",
    open: "Abertos",
    pending: "Pendentes",
    closed: "Fechados",
    all: "Todos",
    more: "Mais atendimentos",
    older: "Mensagens anteriores",
    noTickets: "Nenhum atendimento aqui. Eles aparecem sozinhos quando alguém escreve.",
    nothingOpen: "Escolha um atendimento para ler a conversa.",
    back: "← Atendimentos",
    nobody: "sem responsável",
    unread: (count) => (count === 1 ? "1 não lida" : `${count} não lidas`),
    live: "Ao vivo",
    catchingUp: "Atualizando…",
    connecting: "Conectando…",
    stale: (time) => `Sem conexão. O que você vê é de ${time}.`,
    ended: (reason) => `O servidor encerrou a conexão: ${reason}. Recarregue a página.`,
    failed: (reason) => `Não foi possível carregar: ${reason}`,
    refused: (origin) => `Recusado: este endereço não está em auth.allowed_origins. Inclua ${origin} lá, ou abra o console num endereço que esteja.`,
    watching: (count) => (count === 1 ? "só você está vendo" : `${count} pessoas estão vendo`),
    typing: (name) => `${name} está digitando…`,
    deleted: "apagada",
    edited: "editada",
    internal: "nota interna",
    group: (number) => `Grupo ${number}`,
    picture: { image: "imagem", sticker: "figurinha", video: "vídeo", document: "primeira página" },
    download: (name, size) => `↓ ${name}${size && ` (${size})`}`,
    fileGone: "Este arquivo não está mais guardado.",
    instances: (count, closed, connecting) => [
      count === 1 ? "1 instância" : `${count} instâncias`,
      closed && (closed === 1 ? "1 desconectada" : `${closed} desconectadas`),
      connecting && `${connecting} conectando`,
    ].filter(Boolean).join(", "),
    instancesLeft: (count) => `mais ${count} não são acompanhadas aqui`,
    unreported: "estado não informado",
    ticket: { open: "aberto", pending: "pendente", closed: "fechado" },
    instance: { open: "conectada", connecting: "conectando", close: "desconectada", unknown: "desconhecida" },
    status: { pending: "aguardando", sent: "enviada", delivered: "entregue", read: "lida", played: "ouvida", failed: "falhou" },
  },
};

const KEY = "evorelay.language";
const preferred = localStorage.getItem(KEY) ?? navigator.language.slice(0, 2);

export let language = preferred === "pt" ? "pt" : "en";
export let texts = TEXTS[language];

export function switchLanguage() {
  language = language === "pt" ? "en" : "pt";
  texts = TEXTS[language];
  localStorage.setItem(KEY, language);
}

// Fills every element that names its text; what is rendered from data is its view's business.
export function fillTexts() {
  document.documentElement.lang = language === "pt" ? "pt-BR" : "en";
  for (const element of document.querySelectorAll("[data-text]")) {
    element.textContent = texts[element.dataset.text];
  }
}

export function clock(moment) {
  return new Date(moment).toLocaleTimeString(language, { hour: "numeric", minute: "2-digit" });
}

export function day(moment) {
  const date = new Date(moment);
  const year = date.getFullYear() === new Date().getFullYear() ? undefined : "numeric";
  return date.toLocaleDateString(language, { day: "2-digit", month: "long", year });
}

// The time for today, the date for any other day.
export function when(moment) {
  return day(moment) === day(Date.now()) ? clock(moment) : day(moment);
}

// "1.2 MB"; nothing for a size that is not known.
export function bytes(count) {
  if (!count) return "";
  const [unit, scale] = count < 1e6 ? ["kilobyte", 1e3] : ["megabyte", 1e6];
  return (Math.max(count, 100) / scale).toLocaleString(language, { style: "unit", unit, maximumFractionDigits: 1 });
}

// A group whose name is not known has its number for one, of which all begin alike.
export function nameOf({ name, jid, is_group }) {
  if (!is_group || (name && name !== jid.split("@")[0])) return name;
  const number = jid.split("@")[0];
  return texts.group(`${number.slice(0, 4)}…${number.slice(-4)}`);
}
