// Many unmodified centrifuge clients in one process, driven by JSON lines as client.mjs is. Each has a
// connection of its own, watches one channel, and comes back after the SDK's own delays.

import { createInterface } from 'node:readline';
import { Centrifuge } from 'centrifuge';
import WebSocket from 'ws';

const tell = (line) => process.stdout.write(JSON.stringify(line) + '\n');
const clients = [];

function newClient(url, token, channel) {
  const client = { channel, texts: [], isLive: false, subscribedAt: 0, unrecovered: 0 };
  clients.push(client);
  const centrifuge = new Centrifuge(url, { websocket: WebSocket, token });
  const subscription = centrifuge.newSubscription(channel);
  subscription.on('publication', ({ data }) => {
    if (data.type === 'message.created') client.texts.push(data.message.content);
  });
  subscription.on('subscribing', () => { client.isLive = false; });
  client.close = () => centrifuge.disconnect();
  return new Promise((resolve) => {
    subscription.on('subscribed', ({ wasRecovering, recovered }) => {
      client.isLive = true; // what was missed came with the answer, and is told next
      client.subscribedAt = Date.now();
      client.unrecovered += wasRecovering && !recovered;
      resolve();
    });
    subscription.subscribe();
    centrifuge.connect();
  });
}

const commands = {
  open: ({ url, token, channels }) =>
    Promise.all(channels.map((channel) => newClient(url, token, channel))).then((all) => all.length),
  // How many have come back since a moment (Unix ms) and are live, and when the last of them was.
  back({ since }) {
    const back = clients.filter(({ isLive, subscribedAt }) => isLive && subscribedAt >= since);
    return { count: back.length, last: Math.max(0, ...back.map(({ subscribedAt }) => subscribedAt)) };
  },
  report: () => clients.map(({ channel, texts, unrecovered }) => ({ channel, texts, unrecovered })),
};

for await (const line of createInterface({ input: process.stdin })) {
  const { id, command, ...options } = JSON.parse(line);
  Promise.resolve()
    .then(() => commands[command](options))
    .then((result) => tell({ id, result: result ?? null }))
    .catch((error) => tell({ id, error: { code: error.code, message: error.message } }));
}
clients.forEach(({ close }) => close());
