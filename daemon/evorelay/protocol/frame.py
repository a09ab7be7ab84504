"""WebSocket frames as a server sends them (RFC 6455 §5.2): unmasked, whole, uncompressed.

An unmasked frame is the same for every recipient: encode once, send to a thousand.
"""

_TEXT = 0x81  # FIN | text


def text_frame(payload: bytes) -> bytes:
    """One complete text frame; ``payload`` is valid UTF-8."""
    size = len(payload)
    if size < 126:
        return bytes((_TEXT, size)) + payload
    if size < 0x10000:
        return bytes((_TEXT, 126)) + size.to_bytes(2, "big") + payload
    return bytes((_TEXT, 127)) + size.to_bytes(8, "big") + payload
