// Questions by HTTP, for what the live connection does not carry.

const PATIENCE_MS = 15_000;

export class Rest {
  // `onSignedOut` is called with a code when the credential is not taken any more.
  constructor(token, onSignedOut) {
    this.headers = token ? { Authorization: `Bearer ${token}` } : {};
    this.onSignedOut = onSignedOut;
  }

  // `also` are statuses that are answers, too: of a daemon that is not well, health is one.
  get(path, { also = [] } = {}) { return this.ask(path, { cache: "no-store" }, also); }

  post(path, body = {}) {
    const headers = { "Content-Type": "application/json" };
    return this.ask(path, { method: "POST", headers, body: JSON.stringify(body) }, []);
  }

  // Resolves with the answer; rejects with an Error that has `status` and `code`, or with
  // neither when nobody answered.
  async ask(path, options, also) {
    const answer = await fetch(path, {
      ...options,
      headers: { ...this.headers, ...options.headers },
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    const said = await answer.json().catch(() => ({}));
    if (answer.ok || also.includes(answer.status)) return said;
    const { code = "", message = answer.statusText } = said.error ?? {};
    if (answer.status === 401) this.onSignedOut(code);
    throw Object.assign(new Error(message), { status: answer.status, code });
  }
}

// Whether this daemon takes us without a token: it then says more of its health than to a stranger.
export async function isOpenToAll() {
  const answer = await fetch("/health", { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
  const { checks } = await answer.json();
  return Object.values(checks).flat().some((check) => "observedValue" in check);
}
