"""Running services under supervision, stopping them, talking to systemd.

No word of relaying in here; imports only the standard library and trio.
"""
