// The screen of one agent: what the store has of the current ticket, and nothing else.

import { createChatStore } from './chat_store.js';

window.start = (options) => {
  const store = (window.store = createChatStore(options));
  store.subscribe(({ messages, currentTicketId }) => {
    const items = (messages[currentTicketId] || []).map((message) => {
      const item = document.createElement('li');
      item.textContent = `${message.senderName}: ${message.content}${message.isInternal ? ' (interna)' : ''}`;
      item.dataset.status = message.status;
      return item;
    });
    document.querySelector('#messages').replaceChildren(...items);
  });
  store.getState().connect();
};
