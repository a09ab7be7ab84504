"""Backups: made beside the running daemon, checked by restoring them, put back.

``shelf`` is the directory they lie in, ``making`` writes one, ``checking`` proves one,
``restoring`` puts one into a store, ``packing`` has the compressed files. All of it is work for a
thread (``relay/backups.py``) or for a command (``cli/backup.py``); ``Pace`` keeps its share low.
"""
