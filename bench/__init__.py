"""Benches: each is one command that measures a running daemon and counts every message.

The load comes from processes of its own (``bench/load``) that share no code with the daemon, so
what they count is what an outsider would have counted.
"""
