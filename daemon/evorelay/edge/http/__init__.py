"""HTTP for people and monitors: REST v1, OpenAPI, health, metrics, the console's files.

Requests arrive here through the gate, over Hypercorn, as ASGI. Webhooks do not (edge/gate.py).
"""
