// Many unmodified socket.io-clients in one process, driven by JSON lines as sio_client.mjs is. Each
// has a connection of its own and keeps the text of every new message, in the order of arrival.

import { createInterface } from 'node:readline';
import { io } from 'socket.io-client';

const tell = (line) => process.stdout.write(JSON.stringify(line) + '\n');
const clients = [];

function newClient(url, token, room, transports) {
  const socket = io(url, {
    auth: { token },
    transports,
    forceNew: true,
    reconnectionDelay: 300,
    reconnectionDelayMax: 1000,
  });
  const client = { socket, texts: [], returns: [] };
  socket.on('new-message', ({ content }) => client.texts.push(content));
  clients.push(client);
  return new Promise((resolve) => {
    socket.on('connect', () => {
      client.returns.push(!!socket.recovered);
      if (client.returns.length === 1) socket.emit('join-inbox', room, resolve);
    });
  });
}

const commands = {
  // So many clients by each of `ways` (lists of transports); how many are in the room then.
  async open({ url, token, room, ways }) {
    const joining = [];
    for (const { transports, count } of ways) {
      for (let n = 0; n < count; n += 1) joining.push(newClient(url, token, room, transports));
    }
    return (await Promise.all(joining)).filter(({ ok }) => ok).length;
  },
  drop: () => clients.forEach(({ socket }) => socket.io.engine.close()),
  progress: () => ({
    connected: clients.filter(({ socket }) => socket.connected).length,
    least: Math.min(...clients.map(({ texts }) => texts.length)),
  }),
  // Each sequence of texts that some client was told, and each history of returns: how often.
  report() {
    const counts = { texts: {}, returns: {} };
    for (const client of clients) {
      for (const what of ['texts', 'returns']) {
        const key = JSON.stringify(client[what]);
        counts[what][key] = (counts[what][key] ?? 0) + 1;
      }
    }
    return counts;
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { id, command, ...options } = JSON.parse(line);
  Promise.resolve()
    .then(() => commands[command](options))
    .then((result) => tell({ id, result: result ?? null }))
    .catch((error) => tell({ id, error: { code: error.code, message: error.message } }));
}
clients.forEach(({ socket }) => socket.disconnect());
