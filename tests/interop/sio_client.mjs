// The unmodified socket.io-client, driven by JSON lines: commands come in on standard input, and
// everything the client tells its application goes out on standard output. Bytes are written as
// {"$bytes": "<base64>"}, both ways.

import { createInterface } from 'node:readline';
import { io } from 'socket.io-client';

const tell = (line) => process.stdout.write(JSON.stringify(line, withoutBytes) + '\n');

let socket;

// JSON.stringify asks a Buffer's own toJSON first.
function withoutBytes(_, value) {
  return value?.type === 'Buffer' ? { $bytes: Buffer.from(value.data).toString('base64') } : value;
}

function withBytes(value) {
  if (Array.isArray(value)) return value.map(withBytes);
  if (value === null || typeof value !== 'object') return value;
  if ('$bytes' in value) return Buffer.from(value.$bytes, 'base64');
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, withBytes(item)]));
}

// What the application's login would answer, one token after the other; the last one stays.
function authSource(tokens) {
  let asked = 0;
  return (take) => {
    const token = tokens[Math.min(asked, tokens.length - 1)];
    asked += 1;
    tell({ event: 'auth' });
    take({ token });
  };
}

const commands = {
  connect({ url, token, tokens, claim, options }) {
    socket = io(url, {
      auth: tokens ? authSource(tokens) : { ...(token && { token }), ...claim },
      reconnectionDelay: 20,
      reconnectionDelayMax: 200,
      ...options,
    });
    socket.on('connect', () => {
      const { recovered, io: manager } = socket;
      tell({ event: 'connect', id: socket.id, recovered: !!recovered, transport: manager.engine.transport.name });
    });
    socket.on('disconnect', (reason, details) => tell({ event: 'disconnect', reason, closed: details?.context?.reason }));
    socket.on('connect_error', ({ message, data }) => tell({ event: 'connect_error', message, data }));
    socket.onAny((name, ...args) => tell({ event: 'told', name, args }));
    socket.io.on('open', () => {
      tell({ event: 'open' });
      socket.io.engine.on('upgrade', ({ name }) => tell({ event: 'upgrade', transport: name }));
      socket.io.engine.on('upgradeError', ({ message }) => tell({ event: 'upgradeError', message }));
    });
  },
  emit: ({ name, args }) => void socket.emit(name, ...withBytes(args)),
  ask: ({ name, args, within_ms }) => socket.timeout(within_ms).emitWithAck(name, ...withBytes(args)),
  // Without a time limit of ours: what the client itself makes of an answer that is away.
  askOnce: ({ name, args }) => socket.emitWithAck(name, ...args),
  disconnect: () => void socket.disconnect(),
  reconnect: () => void socket.connect(),
  // As when the browser loses the network: the transport ends, and the manager notices.
  drop: () => void socket.io.engine.close(),
  // What it would come back with.
  place: () => ({ pid: socket._pid, offset: socket._lastOffset }),
  // Another client of this page: the connection is the first one's, if Socket.IO can share it.
  namespace: ({ name }) =>
    new Promise((resolve) => {
      const other = socket.io.socket(name);
      other.on('connect', () => resolve('connected'));
      other.on('connect_error', ({ message }) => resolve(message));
    }),
};

for await (const line of createInterface({ input: process.stdin })) {
  const { id, command, ...options } = JSON.parse(line);
  Promise.resolve()
    .then(() => commands[command](options))
    .then((result) => tell({ id, result: result ?? null }))
    .catch((error) => tell({ id, error: { code: error.code, message: error.message } }));
}
socket?.disconnect();
