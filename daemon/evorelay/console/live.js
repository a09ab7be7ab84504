// The connection: Centrifuge's SDK, and an honest word for how fresh the page is.

const CLOSED_BY_US = 0;
const REFUSED_AFTER = 3; // attempts without an answer, before it is asked whether our origin is why
const TIMEOUT = 1;
const CLIENT_CODES_BELOW = 100; // the SDK's own
const ASKED_MAX = 5;
const SIGNED_OUT = [1, 3500]; // the SDK's "unauthorized", the server's "invalid token"

// The connection went before there was an answer; its state says so, and nothing else need.
export const isCutOff = ({ code }) => code > TIMEOUT && code < CLIENT_CODES_BELOW;

export class Live {
  // `onChange` is called whenever `state` may have changed, `onConnected` when the daemon has said
  // who we are, `onSignedOut` when the token is over, `onEnd` with a reason when the server wants
  // no more of us, `onRefused` when it does not let this page's origin connect.
  constructor(token, { onChange, onConnected, onSignedOut, onEnd, onRefused }) {
    this.onChange = onChange;
    this.onRefused = onRefused;
    this.user = null; // who we are, once the daemon has said it
    this.role = null; // and what we may do
    this.failures = 0;
    this.freshAt = null; // when everything shown was last known to be current
    this.loading = 0;
    this.isBehind = false; // the daemon has messages that it cannot tell us yet
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const options = token
      ? {
          token,
          // There is nobody to renew it with: an expired token ends the session.
          getToken: async () => { throw new Centrifuge.UnauthorizedError("expired"); },
        }
      : {};
    this.client = new Centrifuge(`${scheme}//${location.host}/connection/websocket`, options);
    this.client.on("connecting", () => this.changed());
    this.client.on("connected", ({ data }) => {
      this.user = data.user;
      this.role = data.role;
      this.failures = 0;
      onConnected();
      this.changed();
    });
    this.client.on("error", ({ type }) => { if (type === "transport") this.explain(); });
    this.client.on("disconnected", ({ code, reason }) => {
      this.changed();
      if (SIGNED_OUT.includes(code)) onSignedOut();
      else if (code !== CLOSED_BY_US) onEnd(reason);
    });
  }

  // A browser does not tell a page why a WebSocket failed. But with an OPTIONS request it sends
  // the origin too, and the daemon names it in its answer if it is allowed.
  async explain() {
    this.failures += 1;
    if (this.failures < REFUSED_AFTER) return;
    try {
      const answer = await fetch("/livez", { method: "OPTIONS" });
      if (answer.ok && !answer.headers.has("Access-Control-Allow-Origin")) this.onRefused();
    } catch {
      // the daemon is away, not unwilling
    }
  }

  get state() {
    if (!this.isConnected) return this.freshAt === null ? "connecting" : "stale";
    const subscriptions = Object.values(this.client.subscriptions());
    const settled = subscriptions.every((subscription) => subscription.state !== "subscribing");
    if (!settled || this.loading > 0) return "catchingUp";
    return this.isBehind ? "delayed" : "live";
  }

  get isConnected() { return this.client.state === "connected"; }

  hearBehind(isBehind) {
    this.isBehind = isBehind;
    this.changed();
  }

  changed() {
    if (this.wasLive) this.freshAt = Date.now();
    this.wasLive = this.state === "live";
    this.onChange();
  }

  connect() { this.client.connect(); }

  close() { this.client.disconnect(); }

  // Calls `onEvent` for each event, and `onReload` when events before now were not delivered: at
  // the first subscription, and after an absence too long to be recovered. Returns the subscription.
  watch(channel, { onEvent, onReload, onMembers }) {
    const subscription = this.client.newSubscription(channel, { joinLeave: Boolean(onMembers) });
    subscription.on("publication", ({ data }) => onEvent(data));
    subscription.on("subscribing", () => this.changed());
    subscription.on("subscribed", ({ wasRecovering, recovered }) => {
      if (onReload && !(wasRecovering && recovered)) onReload();
      if (onMembers) onMembers();
      this.changed();
    });
    if (onMembers) {
      subscription.on("join", onMembers);
      subscription.on("leave", onMembers);
    }
    subscription.subscribe();
    return subscription;
  }

  unwatch(subscription) {
    subscription.unsubscribe();
    this.client.removeSubscription(subscription);
    this.changed();
  }

  // Resolves when we are connected, and so know who we are.
  ready() { return this.client.ready(); }

  async tell(method, params) { return (await this.client.rpc(method, params)).data; }

  // Asks for what is shown: until it is here, the page is catching up. It is asked for again when
  // no answer came, as when the connection went: later events are of use only to what was loaded.
  async call(method, params) {
    this.loading += 1;
    this.changed();
    try {
      for (let asked = 1; ; asked += 1) {
        try {
          return await this.tell(method, params);
        } catch (problem) {
          if (!(problem.code < CLIENT_CODES_BELOW) || asked === ASKED_MAX) throw problem;
          await this.ready();
        }
      }
    } finally {
      this.loading -= 1;
      this.changed();
    }
  }
}
