"""Decisions without IO: no trio, no clock, no randomness; now and jitter are arguments."""
