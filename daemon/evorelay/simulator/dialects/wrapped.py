"""Kinds of messages that come inside another one: disappearing, seen once, part of an album."""

from typing import Any

from evorelay.simulator.cast import Message
from evorelay.simulator.dialects.files import picture, voice
from evorelay.simulator.dialects.parts import empty_context
from evorelay.simulator.dialects.protobuf import Choice, Long

Data = dict[str, Any]

EXPIRATION_S = 604_800


def ephemeral_text(message: Message) -> Data:
    context = empty_context() | {"expiration": EXPIRATION_S}
    inner = {"text": message.text, "contextInfo": context}
    return {"ephemeralMessage": {"message": {"extendedTextMessage": inner}}}


def ephemeral_image(message: Message) -> Data:
    return {"ephemeralMessage": {"message": {"imageMessage": picture(message)}}}


def view_once(message: Message) -> Data:
    return {"viewOnceMessageV2": _seen_once(message)}


def old_view_once(message: Message) -> Data:
    return {"viewOnceMessage": _seen_once(message)}


def view_once_voice(message: Message) -> Data:
    inner = voice(message)["audioMessage"] | {"viewOnce": True}
    return {"viewOnceMessageV2Extension": {"message": {"audioMessage": inner}}}


def album_child(message: Message) -> Data:
    """Its album is the message it quotes."""
    album = message.quotes
    assert album is not None
    parent = {
        "remoteJid": album.chat.jid,
        "fromMe": album.author is None,
        "id": album.id,
    }
    return {
        "associatedChildMessage": {"message": {"imageMessage": picture(message)}},
        "messageContextInfo": {
            "messageAssociation": {
                "associationType": Choice(1, "MEDIA_ALBUM"),
                "parentMessageKey": parent,
            }
        },
    }


def lottie_sticker(message: Message) -> Data:
    inner = {
        "url": "https://mmg.whatsapp.net/v/simulated",
        "mimetype": "application/was",
        "isLottie": True,
        "isAnimated": True,
        "fileLength": Long(9000),
    }
    return {"lottieStickerMessage": {"message": {"stickerMessage": inner}}}


def _seen_once(message: Message) -> Data:
    return {"message": {"imageMessage": picture(message, viewOnce=True)}}
