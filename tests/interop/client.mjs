// The unmodified centrifuge SDK, driven by JSON lines: commands come in on standard input, and
// everything the SDK tells its application goes out on standard output.

import { createInterface } from 'node:readline';
import { Centrifuge } from 'centrifuge';
import WebSocket from 'ws';

const tell = (line) => process.stdout.write(JSON.stringify(line) + '\n');

let client;
let askedForToken = 0;
const subscriptions = new Map();

// What the application's login would answer, one token after the other; the last one stays.
function tokenSource(tokens) {
  return async () => {
    const token = tokens[Math.min(askedForToken, tokens.length - 1)];
    askedForToken += 1;
    tell({ event: 'getToken' });
    if (!token) throw new Error('the login is away');
    return token;
  };
}

function watchSubscription(subscription) {
  for (const name of ['subscribing', 'subscribed', 'unsubscribed', 'publication', 'join', 'leave']) {
    subscription.on(name, (context) => tell({ event: name, channel: subscription.channel, ...context }));
  }
  subscription.on('error', ({ error }) => tell({ event: 'subscriptionError', ...error }));
}

const commands = {
  connect({ url, token, tokens }) {
    client = new Centrifuge(url, {
      websocket: WebSocket,
      token: token ?? '',
      getToken: tokens ? tokenSource(tokens) : null,
      minReconnectDelay: 20,
      maxReconnectDelay: 200,
    });
    for (const name of ['connecting', 'connected', 'disconnected']) {
      client.on(name, (context) => tell({ event: name, ...context }));
    }
    client.on('error', ({ error }) => tell({ event: 'clientError', ...error }));
    client.connect();
  },
  subscribe({ channel, options }) {
    const subscription = client.newSubscription(channel, options);
    subscriptions.set(channel, subscription);
    watchSubscription(subscription);
    subscription.subscribe();
  },
  unsubscribe: ({ channel }) => subscriptions.get(channel).unsubscribe(),
  disconnect: () => client.disconnect(),
  rpc: ({ method, data }) => client.rpc(method, data),
  publish: ({ channel, data }) => client.publish(channel, data),
  send: ({ data }) => client.send(data),
  history: ({ channel, options }) => client.history(channel, options),
  presence: ({ channel }) => client.presence(channel),
  presenceStats: ({ channel }) => client.presenceStats(channel),
};

for await (const line of createInterface({ input: process.stdin })) {
  const { id, command, ...options } = JSON.parse(line);
  Promise.resolve()
    .then(() => commands[command](options))
    .then((result) => tell({ id, result: result ?? null }))
    .catch((error) => tell({ id, error: { code: error.code, message: error.message } }));
}
client?.disconnect();
