// A chat store as a team's React front end has it, kept as it was written for the old server: one
// store for the whole page, optimistic messages, no acks, and a call of the send endpoint for what
// was emitted already. Only `auth` was added. Nothing here is to be adapted to EvoRelay.

import { io } from 'socket.io-client';

function create(initializer) {
  let state;
  const listeners = new Set();
  const get = () => state;
  const set = (change) => {
    state = { ...state, ...(typeof change === 'function' ? change(state) : change) };
    listeners.forEach((listener) => listener(state));
  };
  state = initializer(set, get);
  return { getState: get, setState: set, subscribe: (listener) => listeners.add(listener) };
}

// The server sends camelCase, rows read from the database have snake_case.
function mapMessage(raw) {
  return {
    id: raw.id,
    ticketId: raw.ticketId || raw.ticket_id,
    content: raw.content,
    sender: raw.sender || (raw.sender_type === 'agent' ? 'agent' : 'client'),
    senderName: raw.senderName || raw.sender_name || 'Cliente',
    isInternal: Boolean(raw.isInternal ?? raw.is_internal),
    timestamp: new Date(raw.timestamp || raw.created_at),
    status: raw.status || 'sent',
  };
}

const byTime = (a, b) => a.timestamp - b.timestamp;

export const createChatStore = ({ url, token, instance, transports = ['websocket', 'polling'] }) =>
  create((set, get) => ({
    socket: null,
    isConnected: false,
    isLoading: false,
    error: null,
    instanceState: null,
    currentTicketId: null,
    joinedTickets: [],
    messages: {},
    unread: 0,

    connect: () => {
      if (get().socket?.connected) return;
      const socket = io(url, {
        transports,
        withCredentials: true,
        timeout: 10000,
        reconnection: true,
        reconnectionDelay: 1000,
        ...(token && { auth: { token } }),
      });

      socket.on('connect', () => {
        set({ isConnected: true, error: null });
        const { currentTicketId, join } = get();
        if (currentTicketId) join(currentTicketId);
      });
      socket.on('disconnect', () => set({ isConnected: false }));
      socket.on('connect_error', (error) => set({ isConnected: false, error: error.message }));

      socket.on('joined-ticket', ({ ticketId }) =>
        set((s) => ({ joinedTickets: [...new Set([...s.joinedTickets, ticketId])] })));

      socket.on('messages-loaded', ({ ticketId, messages }) =>
        set((s) => ({
          isLoading: false,
          messages: { ...s.messages, [ticketId]: messages.map(mapMessage).sort(byTime) },
        })));

      socket.on('new-message', (raw) => {
        const message = mapMessage(raw);
        set((s) => {
          const known = s.messages[message.ticketId] || [];
          if (known.some((one) => one.id === message.id)) return {};
          return {
            messages: { ...s.messages, [message.ticketId]: [...known, message].sort(byTime) },
            unread: message.sender === 'client' ? s.unread + 1 : s.unread,
          };
        });
      });

      socket.on('connection-update', ({ instance: name, state }) => set({ instanceState: `${name} ${state}` }));
      socket.on('error', (error) => set({ error: error?.message || 'Erro no servidor' }));
      set({ socket });
    },

    disconnect: () => {
      get().socket?.disconnect();
      set({ socket: null, isConnected: false });
    },

    join: (ticketId) => {
      set({ currentTicketId: ticketId, isLoading: true });
      get().socket.emit('join-ticket', { ticketId, userId: 'user-1' });
      get().socket.emit('request-messages', { ticketId, limit: 50 });
    },

    send: async (ticketId, phone, content, isInternal = false) => {
      const message = {
        id: `temp-${Date.now()}-${Math.random().toString(36).slice(2)}`,
        ticketId,
        content,
        sender: 'agent',
        senderName: 'Atendente',
        isInternal,
        timestamp: new Date(),
        status: 'sending',
      };
      set((s) => ({ messages: { ...s.messages, [ticketId]: [...(s.messages[ticketId] || []), message] } }));
      get().socket.emit('send-message', {
        ticketId,
        content,
        isInternal,
        userId: 'user-1',
        senderName: 'Atendente',
        messageId: message.id,
      });
      if (isInternal) return;
      const response = await fetch(`${url}/webhook/send-message`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', ...(token && { Authorization: `Bearer ${token}` }) },
        body: JSON.stringify({ phone, text: content, instance, options: { delay: 0, presence: 'composing', linkPreview: false } }),
      });
      const result = await response.json();
      set((s) => ({
        messages: {
          ...s.messages,
          [ticketId]: s.messages[ticketId].map((one) =>
            one.id === message.id ? { ...one, status: result.success ? 'sent' : 'failed' } : one),
        },
      }));
    },
  }));
