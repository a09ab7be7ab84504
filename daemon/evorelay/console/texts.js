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
    watching: (count) => (count === 1 ? "only you are watching" : `${count} people are watching`),
    typing: (name) => `${name} is typing…`,
    deleted: "deleted",
    edited: "edited",
    internal: "internal note",
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
    watching: (count) => (count === 1 ? "só você está vendo" : `${count} pessoas estão vendo`),
    typing: (name) => `${name} está digitando…`,
    deleted: "apagada",
    edited: "editada",
    internal: "nota interna",
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
  return new Date(moment).toLocaleDateString(language, { day: "2-digit", month: "long" });
}

// The time for today, the date for any other day.
export function when(moment) {
  return day(moment) === day(Date.now()) ? clock(moment) : day(moment);
}
