// The console: signing in and out, and what stands above every view.

import { Desk } from "./desk.js";
import { $, build } from "./dom.js";
import { fillIcons, icon } from "./icons.js";
import { isCutOff } from "./live.js";
import { isOpenToAll, Rest } from "./rest.js";
import { Shortcuts } from "./shortcuts.js";
import { clock, fillTexts, full, refusal, switchLanguage, texts } from "./texts.js";

const KEY = "evorelay.token";
const AGAIN_MS = 2000;

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

async function start() {
  const attempt = ++attempts;
  const token = takeToken();
  const rest = new Rest(token, (code) => {
    if (attempt === attempts) askForToken(() => (code === "token_expired" ? texts.expired : texts.badToken));
  });
  let instances;
  try {
    if (!token && !(await isOpenToAll())) {
      if (attempt === attempts) askForToken(null);
      return;
    }
    ({ instances } = await rest.get("/v1/instances"));
  } catch (failure) {
    if (failure.status === 401 || attempt !== attempts) return;
    // The daemon is away: the state says "connecting" meanwhile, and the form more than that.
    if (!$("sign-in").hidden) problem = () => texts.away;
    showState();
    setTimeout(() => { if (attempt === attempts) start(); }, AGAIN_MS);
    return;
  }
  if (attempt !== attempts) return;
  problem = null;
  $("sign-in").hidden = true;
  $("app").hidden = false;
  $("help").hidden = false;
  $("sign-out").hidden = !token;
  desk = new Desk(token, rest, instances, {
    onState: showState,
    onProblem: (failure) => { if (!isCutOff(failure)) say(() => texts.failed(refusal(failure))); },
    onSignedOut: () => askForToken(() => texts.expired),
    onEnd: (reason) => say(() => texts.ended(reason)),
    onRefused: () => say(() => texts.refused(location.origin)),
  });
  showState();
}

function stop() {
  const ended = desk;
  desk = null;
  ended?.close();
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
}

function askForToken(why) {
  attempts += 1;
  stop();
  sessionStorage.removeItem(KEY);
  history.replaceState(null, "", location.pathname);
  problem = why;
  for (const id of ["app", "help", "sign-out"]) $(id).hidden = true;
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
  const said = problem ? problem() : state === "stale" ? texts.stale(clock(desk.live.freshAt)) : texts[state];
  if ($("state").textContent !== said) {
    $("state").textContent = said;
    desk?.instances.render(); // they have the room that is left
  }
  $("state").title = state === "stale" ? `${texts.stateHelp.stale} ${full(desk.live.freshAt)}` : texts.stateHelp[state];
}

function showTheme() {
  const { current } = globalThis.EvoRelayTheme;
  $("theme").replaceChildren(icon(current));
  $("theme").title = texts.theme[current];
  $("theme").setAttribute("aria-label", texts.theme[current]);
}

function showTexts() {
  fillTexts();
  fillIcons();
  $("language").replaceChildren(icon("language"), build("span", {}, texts.otherLanguage));
  $("sign-out").replaceChildren(icon("leave"), build("span", {}, texts.signOut));
  showTheme();
  showState();
  desk?.redraw();
}

$("sign-in").onsubmit = (event) => {
  event.preventDefault();
  sessionStorage.setItem(KEY, $("token").value.trim());
  start();
};
$("sign-out").onclick = () => askForToken(null);
$("back").onclick = () => { location.hash = "#/inbox"; };
$("language").onclick = () => {
  switchLanguage();
  showTexts();
};
$("theme").onclick = () => {
  globalThis.EvoRelayTheme.next();
  showTheme();
};
$("skip").onclick = (event) => {
  event.preventDefault(); // the address says which view is shown
  ($("app").hidden ? $("token") : $("main")).focus();
};

new Shortcuts(
  { get keys() { return desk?.keys ?? {}; }, escape: () => desk?.escape() },
  () => desk?.views.isOperator ?? false,
);
// What the same agent read on another device meanwhile is not told to this one.
document.addEventListener("visibilitychange", () => { if (!document.hidden) desk?.tickets.reload(); });
addEventListener("hashchange", () => { if (location.hash.includes("token=")) { stop(); start(); } });
showTexts();
start();
