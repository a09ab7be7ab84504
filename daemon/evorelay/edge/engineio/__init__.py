"""Engine.IO 4, the server's side: sessions over long-polling, a WebSocket, or first one then the
other. It knows nothing of what is said in them; that is the ``Handler``'s."""
