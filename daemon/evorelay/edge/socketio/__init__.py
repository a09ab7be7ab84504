"""Socket.IO: who a client is, what it may ask for (contract §6), and how it is answered.

Below it is ``edge/engineio``, which carries messages over polling or a WebSocket; beside it
``edge/centrifuge.py``, the same desk in another protocol.
"""
