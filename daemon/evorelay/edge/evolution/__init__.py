"""Evolution's REST API over HTTP: ``relay.gateway.Gateway`` made with httpx on Trio."""
