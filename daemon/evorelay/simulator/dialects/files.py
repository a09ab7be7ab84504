"""Kinds of messages that are files: pictures, videos, voices, documents, stickers."""

import hashlib
from typing import Any

from evorelay.simulator.cast import Message
from evorelay.simulator.dialects.protobuf import Long
from evorelay.simulator.media import THUMBNAIL, Media

Data = dict[str, Any]

UNKNOWN_BYTES = 220_345
"""The size of a file that is only described."""


def image(message: Message) -> Data:
    return {"imageMessage": picture(message)}


def video(message: Message) -> Data:
    return {"videoMessage": _video(message, gifPlayback=False)}


def gif(message: Message) -> Data:
    return {"videoMessage": _video(message, gifPlayback=True)}


def round_video(message: Message) -> Data:
    return {"ptvMessage": _video(message)}


def voice(message: Message) -> Data:
    seconds = _media(message).seconds
    part = _file(message, seconds=seconds, ptt=True) | {"waveform": bytes(range(64))}
    return {"audioMessage": part}


def transcribed_voice(message: Message) -> Data:
    """Evolution has had it transcribed; the words stand beside the file."""
    return voice(message) | {"speechToText": f"[audio] {message.text}"}


def audio(message: Message) -> Data:
    return {"audioMessage": _file(message, seconds=_media(message).seconds, ptt=False)}


def document(message: Message) -> Data:
    name = _media(message).filename
    return {"documentMessage": _file(message, title=name, fileName=name, pageCount=1)}


def captioned_document(message: Message) -> Data:
    inner = document(message)["documentMessage"] | _caption(message)
    return {"documentWithCaptionMessage": {"message": {"documentMessage": inner}}}


def nameless_document(message: Message) -> Data:
    return {"documentMessage": _file(message, pageCount=1)}


def sticker(message: Message) -> Data:
    return {"stickerMessage": _sticker(message, isAnimated=False)}


def moving_sticker(message: Message) -> Data:
    return {"stickerMessage": _sticker(message, isAnimated=True)}


def picture(message: Message, **more: Any) -> Data:
    """What stands under ``imageMessage``."""
    lists: Data = {"interactiveAnnotations": [], "scanLengths": [], "annotations": []}
    part = _file(message, **_caption(message), **_size(message), **more)
    return lists | part | {"jpegThumbnail": THUMBNAIL}


def _video(message: Message, **more: Any) -> Data:
    lists: Data = {"interactiveAnnotations": [], "annotations": [], "processedVideos": []}
    seconds = {"seconds": _media(message).seconds}
    part = _file(message, **seconds, **_caption(message), **more, **_size(message))
    return lists | part | {"jpegThumbnail": THUMBNAIL}


def _sticker(message: Message, **more: Any) -> Data:
    return _file(message, **_size(message), **more)


def _file(message: Message, **more: Any) -> Data:
    """The description of an encrypted file on WhatsApp's servers."""
    media = _media(message)
    digest = hashlib.sha256(media.content or message.id.encode()).digest()
    path = "/v/t62/simulated.enc?ccb=11-4"
    return {
        "url": "https://mmg.whatsapp.net" + path,
        "mimetype": media.mimetype,
        "fileSha256": digest,
        "fileLength": Long(len(media.content) or UNKNOWN_BYTES),
        **more,
        "mediaKey": digest[::-1],
        "fileEncSha256": digest[16:] + digest[:16],
        "directPath": path,
        "mediaKeyTimestamp": Long(message.sent_ms // 1000, unsigned=False),
    }


def _size(message: Message) -> Data:
    media = _media(message)
    return {"height": media.height, "width": media.width}


def _caption(message: Message) -> Data:
    return {"caption": message.text} if message.text else {}


def _media(message: Message) -> Media:
    assert message.media is not None
    return message.media
