// The files of the open conversation: fetched with the credential when they come into sight, and
// let go again, so that a long conversation full of pictures stays small.

import { $, element } from "./dom.js";
import { bytes, texts } from "./texts.js";

const SHOWN_BYTES_MAX = 16 * 1024 * 1024; // larger ones are offered for download only
const LOADED_MAX = 40;
const RETRY_MS = 5000;
const DOWNLOAD_MS = 60_000; // how long a browser may take to begin writing the file
const TAGS = { image: "img", sticker: "img", audio: "audio" };
const GONE = [404, 410];
const BLANK = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw==";

export class Attachments {
  constructor(token) {
    this.headers = token ? { Authorization: `Bearer ${token}` } : {};
    this.files = new Map(); // by message id
    this.byNode = new WeakMap();
    this.loaded = new Set(); // the one that came into sight first comes first
    this.observer = new IntersectionObserver((entries) => this.sight(entries), {
      root: $("scroll"), rootMargin: "300px",
    });
  }

  // The element that shows a message's file, null if there is none. It stays the same element
  // while the message changes around it, so that nothing is fetched twice or stops playing.
  node(message) {
    if (!message.media) return null;
    const known = this.files.get(message.id);
    const { url, state } = message.media;
    if (known?.media.url === url && known.media.state === state) return known.node;
    if (known) this.drop(message.id);
    const file = new Attachment(message, () => this.download(file));
    this.files.set(message.id, file);
    this.byNode.set(file.node, file);
    if (file.element) this.observer.observe(file.node);
    return file.node;
  }

  // Lets go of the files of every message that is not among `messages` any more.
  keepOnly(messages) {
    for (const id of this.files.keys()) if (!messages.has(id)) this.drop(id);
  }

  clear() { this.keepOnly(new Map()); }

  drop(id) {
    const file = this.files.get(id);
    this.files.delete(id);
    this.loaded.delete(file);
    this.observer.unobserve(file.node);
    file.unload();
  }

  sight(entries) {
    for (const { target, isIntersecting } of entries) {
      const file = this.byNode.get(target);
      file.inSight = isIntersecting;
      if (isIntersecting) this.load(file);
    }
  }

  async load(file) {
    this.loaded.delete(file);
    this.loaded.add(file);
    this.makeRoom();
    if (file.url || file.loading) return;
    file.loading = true;
    try {
      const blob = await this.fetch(file.media.url);
      if (this.loaded.has(file)) file.show(URL.createObjectURL(blob));
    } catch (failure) {
      if (GONE.includes(failure.status)) file.say(texts.fileGone);
      else setTimeout(() => { if (this.loaded.has(file) && file.inSight) this.load(file); }, RETRY_MS);
    } finally {
      file.loading = false;
    }
  }

  makeRoom() {
    for (const file of this.loaded) {
      if (this.loaded.size <= LOADED_MAX) return;
      if (file.inSight || file.isPlaying) continue;
      this.loaded.delete(file);
      file.unload();
    }
  }

  async download(file) {
    file.button.disabled = true;
    try {
      const link = element("a");
      link.href = URL.createObjectURL(await this.fetch(file.media.url));
      link.download = file.name;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), DOWNLOAD_MS);
    } catch (failure) {
      if (GONE.includes(failure.status)) file.say(texts.fileGone);
      else file.button.textContent = texts.failed(failure.message);
    } finally {
      file.button.disabled = false;
    }
  }

  async fetch(url) {
    const answer = await fetch(url, { headers: this.headers });
    if (!answer.ok) throw Object.assign(new Error(answer.statusText), { status: answer.status });
    return answer.blob();
  }
}

class Attachment {
  constructor({ type, media }, onDownload) {
    this.type = type;
    this.media = media;
    this.name = media.filename ?? `${type}.${media.mimetype?.split(/[/;]/)[1] ?? "bin"}`;
    this.preview = media.thumbnail ? `data:image/jpeg;base64,${media.thumbnail}` : null;
    this.url = null;
    this.node = element("div", `file ${type}`);
    this.button = element("button", "download", texts.download(this.name, bytes(media.size)));
    this.button.type = "button";
    this.button.onclick = onDownload;
    const tag = media.url && !(media.size > SHOWN_BYTES_MAX) ? TAGS[type] : undefined;
    if (tag) {
      this.element = tag === "img" ? this.picture() : sound();
      // What this browser cannot show it can still save.
      this.element.onerror = () => { if (this.url) this.node.replaceChildren(this.button); };
      this.node.append(this.element);
    } else {
      if (this.preview) this.node.append(this.picture());
      if (media.url) this.node.append(this.button);
      else if (media.state === "pending") this.node.append(element("em", "", texts.filePending));
      else if (media.state === "removed") this.node.append(element("em", "", texts.fileRemoved));
      else if (media.state === "failed") this.node.append(element("em", "", texts.fileFailed));
    }
  }

  picture() {
    const image = element("img");
    image.src = this.preview ?? BLANK;
    image.alt = texts.picture[this.type] ?? "";
    const { width, height } = this.media;
    if (width && height) Object.assign(image, { width, height }); // keeps its place from the start
    return image;
  }

  get isPlaying() { return this.element.paused === false; }

  show(url) {
    this.url = url;
    this.element.src = url;
  }

  unload() {
    if (!this.url) return;
    URL.revokeObjectURL(this.url);
    this.url = null;
    if (this.element.localName === "img") this.element.src = this.preview ?? BLANK;
    else this.element.removeAttribute("src");
  }

  say(text) { this.node.replaceChildren(element("em", "", text)); }
}

function sound() {
  const audio = element("audio");
  audio.controls = true;
  return audio;
}
