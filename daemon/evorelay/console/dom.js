// Small helpers. Text only ever enters the page as text, so no message can become markup.

const DIRECTION_MARKS = /[\u202a-\u202e\u2066-\u2069]/g;

export const $ = (id) => document.getElementById(id);

export function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined && text !== null) made.textContent = text;
  return made;
}

// What somebody else wrote, for a place inside one of our own sentences or a tooltip: it cannot
// turn the text around it. Elements do the same for what stands alone (<bdi>, and any block).
export function isolated(text) {
  return `\u2068${String(text).replace(DIRECTION_MARKS, "")}\u2069`;
}

// A link that leads out of the console; what it leads to learns nothing of where it stood.
export function link(href, text) {
  const made = element("a", "", text);
  Object.assign(made, { href, target: "_blank", rel: "noopener noreferrer" });
  return made;
}

// Runs `work` once before the next frame, however often it was asked for.
export function oncePerFrame(work) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      work();
    });
  };
}

// An element with its properties and children in one go. What has a dash is an attribute; children
// that are null, false or "" are left out.
export function build(tag, properties, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (name.includes("-") || name === "role") made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children.flat().filter((child) => child || child === 0));
  return made;
}

export function button(text, onclick, properties) {
  return build("button", { type: "button", onclick, ...properties }, text);
}

// Makes `list` show what `wanted` says, in its order: `{ key, make }` each. Elements whose key is
// still wanted stay as they are, with focus and selection in them; an element that takes the place
// of one with the same `id` takes over its focus.
export function keep(list, wanted) {
  const focused = document.activeElement;
  const left = [...list.children].find((child) => child.contains(focused));
  const present = new Map([...list.children].map((child) => [child.key, child]));
  wanted.forEach(({ key, id, make }, index) => {
    const child = present.get(key) ?? Object.assign(make(), { key, itemId: id });
    present.delete(key);
    if (list.children[index] !== child) list.insertBefore(child, list.children[index] ?? null);
  });
  for (const gone of present.values()) gone.remove();
  if (list.contains(focused)) focused.focus(); // a moved element loses it
  else if (left?.itemId) {
    const again = [...list.children].find((child) => child.itemId === left.itemId);
    const alike = [...(again?.querySelectorAll("a, button") ?? [])];
    alike.find((one) => one.textContent === focused.textContent)?.focus();
  }
}
