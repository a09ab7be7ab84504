"""Ports of durable state and their drivers. Imports model only."""
