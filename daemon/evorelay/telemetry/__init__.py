"""Metrics as verbs, logs with redaction. Imports nothing of ours."""
