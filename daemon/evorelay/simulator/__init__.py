"""A simulated Evolution API: emits realistic webhooks, takes sends, misbehaves on request."""
