// A page made of the README's three snippets and as little of its own as possible.

import { createElement as h, StrictMode, useState } from 'react';
import { RELAY, socket } from './relay.js';
import { useConnection } from './useConnection.js';
import { useTicket } from './useTicket.js';

function Ticket({ id }) {
  const [messages, send] = useTicket(socket, id);
  window.send = send;
  return h('ul', null, messages.map((one) => h('li', { key: one.id, 'data-status': one.status }, one.content)));
}

function Screen() {
  const [id, setId] = useState(null);
  window.show = setId;
  return h('main', null, h('p', { id: 'status' }, useConnection(socket, RELAY)), id && h(Ticket, { id }));
}

window.socket = socket;
window.told = [];
for (const name of ['error', 'connect_error']) socket.on(name, ({ message }) => window.told.push(message));
socket.on('connect', () => window.told.push(socket.recovered ? 'recovered' : 'connected'));
ReactDOM.createRoot(document.querySelector('#root')).render(h(StrictMode, null, h(Screen)));
