// Small pictures as lines of the text's own colour, drawn here so that no font has to have them.

const SVG = "http://www.w3.org/2000/svg";
const PATHS = {
  inbox: "M3 13h4l2 3h6l2-3h4M5 5h14l2 8v6H3v-6z",
  overview: "M4 19V9m5 10V5m5 14v-7m5 7V8",
  instances: "M8 3h8a1 1 0 0 1 1 1v16a1 1 0 0 1-1 1H8a1 1 0 0 1-1-1V4a1 1 0 0 1 1-1zm3 15h2",
  outbox: "M21 3 3 10l7 3 3 7zM21 3 10 13",
  quarantine: "M12 4 2.8 20h18.4zm0 6v5m0 2.5v.1",
  backups: "M4 7c0-1.7 3.6-3 8-3s8 1.3 8 3-3.6 3-8 3-8-1.3-8-3zm0 0v10c0 1.7 3.6 3 8 3s8-1.3 8-3V7m-16 5c0 1.7 3.6 3 8 3s8-1.3 8-3",
  light: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zm0-5v2m0 14v2m9-9h-2M5 12H3m15.4-6.4L17 7M7 17l-1.4 1.4m12.8 0L17 17M7 7 5.6 5.6",
  dark: "M20 14.5A8.5 8.5 0 0 1 9.5 4 8.5 8.5 0 1 0 20 14.5z",
  system: "M3 5h18v11H3zm6 15h6m-3-4v4",
  language: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM3 12h18M12 3c3 3 3 15 0 18-3-3-3-15 0-18z",
  help: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM9.5 9.5a2.5 2.5 0 1 1 3.5 2.3c-.7.3-1 .8-1 1.7m0 2.9v.1",
  leave: "M14 4h5v16h-5M10 8l-4 4 4 4m-4-4h9",
  back: "M15 5l-7 7 7 7",
  attach: "M20 11.5 12 19.5a5 5 0 0 1-7-7l8.5-8.5a3.3 3.3 0 0 1 4.7 4.7L9.8 17a1.6 1.6 0 0 1-2.3-2.3l7.5-7.5",
  send: "M4 12 3 4l18 8-18 8 1-8zm0 0h8",
  trace: "M6 4v16M6 6h.1M6 12h.1M6 18h.1M10 6h10M10 12h7M10 18h9",
  close: "M6 6l12 12M18 6 6 18",
  ok: "M5 12.5 10 17.5 19.5 7",
  warn: "M12 4 2.8 20h18.4zm0 6v5m0 2.5v.1",
  bad: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM9 9l6 6m0-6-6 6",
  unknown: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM8 12h8",
};

// Says nothing to screen readers: beside it, or in a label, stands the word.
export function icon(name) {
  const picture = document.createElementNS(SVG, "svg");
  for (const [key, value] of Object.entries({ class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true" })) {
    picture.setAttribute(key, value);
  }
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name]);
  picture.append(path);
  return picture;
}

// Puts its picture before whatever names one.
export function fillIcons() {
  for (const place of document.querySelectorAll("[data-icon]")) {
    if (!place.querySelector(".icon")) place.prepend(icon(place.dataset.icon));
  }
}
