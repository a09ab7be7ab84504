// The console: sign in, show the instances, the tickets and one conversation, all of them live.

import { Conversation } from "./conversation.js";
import { $ } from "./dom.js";
import { Instances } from "./instances.js";
import { Live } from "./live.js";
import { clock, fillTexts, switchLanguage, texts } from "./texts.js";
import { Tickets } from "./tickets.js";

const KEY = "evorelay.token";
const INSTANCES_EVERY_MS = 10_000;

let desk = null; // what exists while somebody is signed in
let attempts = 0; // only the newest attempt to start counts
let problem = null; // a function that says it in the current language

// The token comes in the fragment, which browsers send to nobody, and leaves the address bar.
function takeToken() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (token) {
    sessionStorage.setItem(KEY, token);
    history.replaceState(null, "", location.pathname);
  }
  return sessionStorage.getItem(KEY) ?? "";
}

async function readInstances(token) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const answer = await fetch("/v1/instances", { headers, cache: "no-store" });
  if (!answer.ok) throw Object.assign(new Error(answer.statusText), { status: answer.status });
  return (await answer.json()).instances;
}

async function start() {
  const attempt = ++attempts;
  const token = takeToken();
  let instances;
  try {
    instances = await readInstances(token);
    if (attempt !== attempts) return;
  } catch (failure) {
    if (attempt !== attempts) return;
    if (failure.status === 401) askForToken(token && (() => texts.badToken));
    else setTimeout(start, 2000); // the daemon is away: the state says "connecting" meanwhile
    return;
  }
  const live = new Live(token, {
    onChange: showState,
    onSignedOut: () => askForToken(() => texts.expired),
    onEnd: (reason) => say(() => texts.ended(reason)),
    onRefused: () => say(() => texts.refused(location.origin)),
  });
  const onProblem = (failure) => say(() => texts.failed(failure.message ?? String(failure)));
  const conversation = new Conversation(live, token, {
    onRead: (id) => tickets.read(id),
    onSeen: (event) => tickets.seen(event),
    onMoved: (ticket) => tickets.mark(ticket.id),
    onProblem,
  });
  const tickets = new Tickets(live, {
    onChoose: (ticket) => conversation.open(ticket),
    onProblem,
  });
  const shown = new Instances((name) => {
    live.watch(`inbox:${name}`, {
      onEvent: (event) => {
        tickets.handle(event);
        if (event.type === "ticket.merged") conversation.merged(event);
      },
      onReload: () => tickets.reload(),
    });
    live.watch(`instance:${name}`, { onEvent: (event) => shown.put(event.instance) });
  });
  desk = { live, conversation, tickets, instances: shown };
  $("sign-in").hidden = true;
  $("desk").hidden = false;
  $("sign-out").hidden = !token;
  shown.show(instances);
  live.connect();
  tickets.reload();
  // An instance nobody knew yet appears with its first webhook.
  desk.timer = setInterval(async () => {
    try {
      shown.show(await readInstances(token));
    } catch {
      // the connection's own state tells it
    }
  }, INSTANCES_EVERY_MS);
}

function stop() {
  if (desk === null) return;
  clearInterval(desk.timer);
  desk.tickets.close();
  desk.conversation.close();
  desk.instances.close();
  desk.live.close();
  desk = null;
}

function askForToken(why) {
  stop();
  sessionStorage.removeItem(KEY);
  problem = why || null;
  $("desk").hidden = true;
  $("sign-out").hidden = true;
  $("sign-in").hidden = false;
  $("token").value = "";
  $("token").focus();
  showState();
}

function say(what) {
  if (desk === null) return;
  problem = what;
  showState();
}

function showState() {
  const state = desk?.live.state ?? "connecting";
  if (state === "live") problem = null;
  $("sign-in-problem").textContent = desk === null && problem ? problem() : "";
  $("state").hidden = !$("sign-in").hidden;
  $("state").dataset.state = problem ? "stale" : state;
  const text = texts[state];
  $("state").textContent = problem
    ? problem()
    : state === "stale" ? text(clock(desk.live.freshAt)) : text;
}

$("sign-in").onsubmit = (event) => {
  event.preventDefault();
  sessionStorage.setItem(KEY, $("token").value.trim());
  start();
};
$("sign-out").onclick = () => askForToken(null);
$("back").onclick = () => {
  desk.conversation.leave();
  desk.tickets.choose(null);
};
$("language").onclick = () => {
  switchLanguage();
  showTexts();
};

function showTexts() {
  fillTexts();
  $("language").textContent = texts.otherLanguage;
  $("sign-out").textContent = texts.signOut;
  showState();
  if (desk === null) return;
  desk.instances.render();
  desk.tickets.render();
  desk.conversation.redraw();
}

// What the same agent read on another device meanwhile is not told to this one.
document.addEventListener("visibilitychange", () => { if (!document.hidden) desk?.tickets.reload(); });
addEventListener("hashchange", () => { if (location.hash.includes("token=")) { stop(); start(); } });
showTexts();
start();
