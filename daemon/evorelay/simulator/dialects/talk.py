"""Kinds of messages that are words: texts, answers to menus, and the menus themselves."""

from typing import Any

from evorelay.simulator.cast import Message
from evorelay.simulator.dialects.parts import empty_context
from evorelay.simulator.dialects.protobuf import Choice
from evorelay.simulator.media import THUMBNAIL

Data = dict[str, Any]

LINK = "https://loja.example/sofa-jalapao"
CHOICES = ("Entrega em casa", "Retirar na loja", "Falar com alguém")


def text(message: Message) -> Data:
    return {"conversation": message.text}


def link(message: Message) -> Data:
    return _extended(
        message,
        {},
        matchedText=LINK,
        canonicalUrl=LINK,
        description="Sofá de 3 lugares em linho",
        title="Sofá Jalapão",
        previewType=Choice(0, "NONE"),
        jpegThumbnail=THUMBNAIL,
    )


def mention(message: Message) -> Data:
    return _extended(message, {"mentionedJid": ["900000000000099@lid"]})


def forwarded(message: Message) -> Data:
    return _extended(message, {"isForwarded": True, "forwardingScore": 2})


def from_ad(message: Message) -> Data:
    ad = {
        "title": "Aurora Móveis",
        "body": "Sofás com até 30% de desconto",
        "mediaType": Choice(1, "IMAGE"),
        "thumbnailUrl": "https://ads.example/thumbnail.jpg",
        "sourceType": "ad",
        "sourceId": "120210000000000001",
        "sourceUrl": "https://ads.example/1",
        "ctwaClid": "simulated-click",
    }
    return _extended(message, {"conversionSource": "FB_Ads", "externalAdReply": ad})


def button_reply(message: Message) -> Data:
    return {
        "buttonsResponseMessage": {
            "selectedButtonId": "btn-1",
            "type": Choice(1, "DISPLAY_TEXT"),
            "selectedDisplayText": message.text,
        }
    }


def template_reply(message: Message) -> Data:
    return {
        "templateButtonReplyMessage": {
            "selectedId": "tpl-1",
            "selectedDisplayText": message.text,
            "contextInfo": empty_context(),
            "selectedIndex": 0,
        }
    }


def list_reply(message: Message) -> Data:
    return {
        "listResponseMessage": {
            "title": message.text,
            "listType": Choice(1, "SINGLE_SELECT"),
            "singleSelectReply": {"selectedRowId": "row-1"},
        }
    }


def flow_reply(message: Message) -> Data:
    return {
        "interactiveResponseMessage": {
            "body": {"text": message.text, "format": Choice(0, "DEFAULT")},
            "nativeFlowResponseMessage": {
                "name": "quick_reply",
                "paramsJson": '{"id":"flow-1"}',
                "version": 1,
            },
            "contextInfo": empty_context(),
        }
    }


def buttons(message: Message) -> Data:
    shown = [
        {"buttonId": f"btn-{number}", "buttonText": {"displayText": choice}}
        for number, choice in enumerate(CHOICES, 1)
    ]
    return {
        "buttonsMessage": {
            "contentText": message.text,
            "footerText": "Aurora Móveis",
            "buttons": shown,
            "headerType": Choice(1, "EMPTY"),
        }
    }


def menu(message: Message) -> Data:
    rows = [
        {"title": choice, "description": "", "rowId": f"row-{number}"}
        for number, choice in enumerate(CHOICES, 1)
    ]
    return {
        "listMessage": {
            "title": "Aurora Móveis",
            "description": message.text,
            "buttonText": "Escolher",
            "listType": Choice(1, "SINGLE_SELECT"),
            "sections": [{"title": "Opções", "rows": rows}],
        }
    }


def template(message: Message) -> Data:
    button = {"index": 0, "urlButton": {"displayText": "Rastrear", "url": "https://loja.example/r"}}
    hydrated = {"hydratedButtons": [button], "hydratedContentText": message.text, "templateId": "1"}
    return {
        "templateMessage": {
            "contextInfo": empty_context(),
            "hydratedTemplate": hydrated,
            "templateId": "1",
        }
    }


def interactive(message: Message) -> Data:
    button = {"name": "quick_reply", "buttonParamsJson": '{"display_text":"Quero","id":"q-1"}'}
    return {
        "interactiveMessage": {
            "header": {"title": "", "hasMediaAttachment": False},
            "body": {"text": message.text},
            "footer": {"text": "Aurora Móveis"},
            "nativeFlowMessage": {
                "buttons": [button],
                "messageParamsJson": "",
                "messageVersion": 1,
            },
        }
    }


def _extended(message: Message, context: Data, **fields: Any) -> Data:
    return {
        "extendedTextMessage": {
            "text": message.text,
            **fields,
            "contextInfo": empty_context() | context,
        }
    }
