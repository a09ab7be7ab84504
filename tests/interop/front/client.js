// socket.io-client in a real browser; what it tells its application is kept for the test to read.

const told = [];
let socket;

function open(url, options) {
  const quick = { reconnectionDelay: 50, reconnectionDelayMax: 200, ackTimeout: 15000 };
  socket = io(url, { ...quick, ...options });
  const tell = (name, value) => told.push({ name, value });
  socket.on('connect', () => tell('connect', { id: socket.id, recovered: socket.recovered }));
  socket.on('connect_error', (error) => tell('connect_error', { message: error.message, data: error.data ?? null }));
  socket.on('disconnect', (reason) => tell('disconnect', reason));
  socket.onAny((name, value) => tell(name, value));
  socket.io.on('open', () => socket.io.engine.on('upgrade', (transport) => tell('upgrade', transport.name)));
}

const ask = (name, value) => socket.emitWithAck(name, value);
const transport = () => socket.io.engine.transport.name;
