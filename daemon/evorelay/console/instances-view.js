// The WhatsApp instances, each with what an operator can do for it.

import { agreed } from "./confirm.js";
import { build, button, isolated, keep } from "./dom.js";
import { byNeed, causeOf, troublesOf } from "./instances.js";
import { because, empty, fact, mark, timeOf } from "./pieces.js";
import { age, texts } from "./texts.js";
import { View } from "./view.js";

const EVERY_MS = 10_000;
const SHOWN_AT_FIRST = 100;
const KINDS = { open: "ok", connecting: "warn", close: "bad", unknown: "unknown" };

export class InstancesView extends View {
  constructor(context) {
    super("instances", context, EVERY_MS);
    this.all = [];
    this.shown = SHOWN_AT_FIRST;
    this.said = new Map(); // by instance: what became of the last deed
    this.instances.onChange = () => { if (this.poll.isOn) this.draw(); };
  }

  async load() {
    this.all = (await this.rest.get("/v1/instances")).instances;
    this.instances.show(this.all);
  }

  begin() {
    this.list = build("ul", { className: "rows instances" });
    this.none = build("div", { hidden: true }, empty(texts.noInstances, texts.noInstancesHelp));
    this.more = button(texts.moreRows, () => { this.shown += SHOWN_AT_FIRST; this.draw(); });
    this.body.append(this.none, this.list, build("p", { className: "foot" }, this.more));
  }

  drawBody() {
    // Those that are followed live are newer than what was read.
    const all = this.all.map((one) => this.instances.known.get(one.name) ?? one).sort(byNeed);
    this.none.hidden = all.length > 0;
    this.more.hidden = all.length <= this.shown;
    keep(this.list, all.slice(0, this.shown).map((instance) => ({
      key: JSON.stringify([instance, this.said.get(instance.name), silenceOf(instance)]),
      id: instance.name,
      make: () => this.line(instance),
    })));
  }

  line(instance) {
    const { name, state, state_since, cause, phone, profile_name, last_event_at, registration } = instance;
    const troubles = troublesOf(instance).map(([words, why]) =>
      build("p", { className: "advice" }, `${words}: `, build("span", { lang: "en" }, why)));
    const isOpen = state === "open";
    return build("li", { "data-instance": name },
      build("span", { className: "what" }, build("bdi", { className: "name" }, name),
        profile_name && build("bdi", { className: "faint" }, profile_name),
        phone && build("span", { className: "faint" }, `+${phone}`)),
      build("span", { className: "facts" },
        mark(KINDS[state] ?? "unknown", texts.instance[state] ?? state),
        fact(texts.sinceWord, timeOf(state_since)),
        cause && fact(texts.causeWord, causeOf(cause)),
        fact(texts.silence, timeOf(last_event_at, () => silenceOf(instance))),
        registration && fact(texts.webhook, registration.state === "ok" ? texts.registered : texts.unregisteredShort)),
      build("span", { className: "deeds" },
        !isOpen && button(texts.qrcode, () => this.pair(name)),
        button(texts.reconnect, () => this.reconnect(instance))),
      ...troubles,
      this.said.get(name) && build("p", { className: "said", role: "status" }, this.said.get(name)));
  }

  async pair(name) {
    await this.doing(name, texts.askingCode, async () => {
      const { qrcode, state } = await this.rest.get(`/v1/instances/${encodeURIComponent(name)}/qrcode`);
      if (qrcode) {
        this.instances.qrcode.open({ name, qrcode });
        return null;
      }
      return state === "open" ? texts.instance.open : texts.qrcodeOver;
    });
  }

  // One that works is cut off for a moment.
  async reconnect({ name, state, suspicion }) {
    const isWell = state === "open" && !suspicion;
    if (isWell && !(await agreed(texts.reconnectAsk(isolated(name)), texts.reconnect))) return;
    await this.doing(name, texts.reconnecting, async () => {
      const after = await this.rest.post(`/v1/instances/${encodeURIComponent(name)}/reconnect`);
      this.instances.put(after);
      if (after.qrcode) this.instances.qrcode.open(after);
      return texts.reconnectTold;
    });
  }

  async doing(name, meanwhile, deed) {
    this.said.set(name, meanwhile);
    this.draw();
    try {
      this.said.set(name, await deed());
    } catch (problem) {
      this.said.set(name, texts.notDone(because(problem)));
    }
    this.draw();
  }
}

const silenceOf = ({ last_event_at }) => texts.ago(age(Date.now() - Date.parse(last_event_at)));
