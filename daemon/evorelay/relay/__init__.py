"""The engine: journal, pipeline, ledger, hub, sessions. Knows ports, never drivers."""
