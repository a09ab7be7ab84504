"""The outside: the gate, HTTP, WebSocket. Thin; decisions live in relay and protocol."""
