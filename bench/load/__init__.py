"""The load generator: webhook senders and WebSocket receivers, on raw sockets and epoll.

Nothing here imports the daemon or Trio: it measures from outside and must cost little beside it.
"""
