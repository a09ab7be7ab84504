"""Helpers that start the real daemon and talk to it from outside, as a stranger would."""
