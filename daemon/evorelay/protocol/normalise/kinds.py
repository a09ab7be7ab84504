"""The table of WhatsApp's message types: what each one is to us, and where its words are.

A new type is one entry here and one fixture in ``tests/fixtures/webhooks``. Field names are
WhatsApp's (protobuf JSON) and, behind them, Meta's where the Cloud API channel passes those on
(research: ``data`` by event). Paths are dotted; ``*`` and ``{}`` as in ``values.dig``.
"""

from collections.abc import Mapping
from typing import NamedTuple

from evorelay.protocol.normalise.values import Path


class Kind(NamedTuple):
    type: str
    label: str
    """What a person reads when there are no words in it."""
    text: tuple[Path, ...]
    """Where the words are; the first that is not empty is the content."""
    detail: tuple[Path, ...]
    """Stands behind the label when there are no words: a file's name, a place."""
    keep: Mapping[str, Path]
    """What goes into the message's metadata, by its name there."""
    media: bool


def _kind(
    type_: str,
    label: str,
    *,
    text: str = "",
    detail: str = "",
    media: bool = False,
    **keep: str,
) -> Kind:
    return Kind(
        type=type_,
        label=f"[{label}]",
        text=tuple(map(_path, text.split())),
        detail=tuple(map(_path, detail.split())),
        keep={name: _path(path) for name, path in keep.items()},
        media=media,
    )


def _path(dotted: str) -> Path:
    return () if dotted == "." else tuple(dotted.split("."))


def _file(type_: str, label: str, *, detail: str = "", **keep: str) -> Kind:
    return _kind(type_, label, text="caption", detail=detail, media=True, **keep)


_POLL = _kind(
    "poll",
    "Enquete",
    detail="name",
    question="name",
    options="options.*.optionName",
    selectable="selectableOptionsCount",
)
_CONTACT = _kind(
    "contact", "Contato", detail="displayName", contact_name="displayName", vcard="vcard"
)
_CALL = _kind("call", "Ligação", outcome="callOutcome", seconds="durationSecs", video="isVideo")
_PAYMENT = _kind("payment", "Pagamento", text="noteMessage.extendedTextMessage.text")

# In order of precedence, should a message without a usable messageType carry several.
KINDS: dict[str, Kind] = {
    "conversation": _kind("text", "Mensagem vazia", text="."),
    "extendedTextMessage": _kind(
        "text",
        "Mensagem vazia",
        text="text",
        link="matchedText",
        link_title="title",
        link_description="description",
    ),
    "imageMessage": _file("image", "Imagem"),
    "videoMessage": _file("video", "Vídeo", gif="gifPlayback"),
    "ptvMessage": _file("video", "Vídeo"),
    "audioMessage": _file("audio", "Áudio"),
    "documentMessage": _file(
        "document", "Documento", detail="fileName filename title", pages="pageCount"
    ),
    "stickerMessage": _file("sticker", "Figurinha"),
    "stickerPackMessage": _kind(
        "sticker", "Pacote de figurinhas", detail="name", publisher="publisher"
    ),
    "locationMessage": _kind(
        "location",
        "Localização",
        text="caption comment",
        detail="name address",
        latitude="degreesLatitude",
        longitude="degreesLongitude",
        name="name",
        address="address",
        url="url",
    ),
    "liveLocationMessage": _kind(
        "location",
        "Localização em tempo real",
        text="caption",
        latitude="degreesLatitude",
        longitude="degreesLongitude",
        sequence="sequenceNumber",
    ),
    "contactMessage": _CONTACT,
    "contact": _CONTACT,  # send.message of the Cloud API channel
    "contactsArrayMessage": _kind(
        "contact",
        "Contatos",
        detail="displayName",
        contact_names="contacts.*.displayName",
        vcards="contacts.*.vcard",
    ),
    "pollCreationMessage": _POLL,
    "pollCreationMessageV2": _POLL,
    "pollCreationMessageV3": _POLL,
    "pollCreationMessageV5": _POLL,
    "buttonsResponseMessage": _kind(
        "text", "Resposta de botão", text="selectedDisplayText", selected_id="selectedButtonId"
    ),
    "templateButtonReplyMessage": _kind(
        "text",
        "Resposta de botão",
        text="selectedDisplayText",
        selected_id="selectedId",
        selected_index="selectedIndex",
    ),
    "listResponseMessage": _kind(
        "text",
        "Resposta de lista",
        text="title description",
        selected_id="singleSelectReply.selectedRowId",
        description="description",
    ),
    "interactiveResponseMessage": _kind(
        "text",
        "Resposta de formulário",
        text="body.text",
        selected_id="nativeFlowResponseMessage.paramsJson.{}.id",
        params="nativeFlowResponseMessage.paramsJson",
    ),
    "templateMessage": _kind(
        "text",
        "Modelo de mensagem",
        text="hydratedTemplate.hydratedContentText hydratedFourRowTemplate.hydratedContentText"
        " interactiveMessageTemplate.body.text",
        buttons="hydratedTemplate.hydratedButtons.*.quickReplyButton.displayText",
    ),
    "highlyStructuredMessage": _kind(
        "text", "Modelo de mensagem", text="hydratedHsm.hydratedTemplate.hydratedContentText"
    ),
    "interactiveMessage": _kind(
        "text", "Mensagem interativa", text="body.text header.title footer.text"
    ),
    "buttonsMessage": _kind(
        "text",
        "Mensagem com botões",
        text="contentText text",
        buttons="buttons.*.buttonText.displayText",
    ),
    "buttonMessage": _kind(  # EVOLUTION channel: its fields stand in the message itself
        "text", "Mensagem com botões", text="description title", buttons="buttons.*.displayText"
    ),
    "listMessage": _kind(
        "text", "Mensagem com lista", text="description title", button="buttonText"
    ),
    "orderMessage": _kind(
        "order",
        "Pedido",
        text="message",
        detail="orderTitle",
        order_id="orderId",
        items="itemCount",
        total_1000="totalAmount1000",
        currency="totalCurrencyCode",
    ),
    "productMessage": _kind(
        "product",
        "Produto",
        text="body",
        detail="product.title",
        product_id="product.productId",
        title="product.title",
        price_1000="product.priceAmount1000",
        currency="product.currencyCode",
    ),
    "eventMessage": _kind(
        "event",
        "Evento",
        detail="name",
        name="name",
        description="description",
        starts_at="startTime",
        link="joinLink",
        canceled="isCanceled",
    ),
    "groupInviteMessage": _kind(
        "invite",
        "Convite para grupo",
        text="caption",
        detail="groupName",
        group="groupJid",
        code="inviteCode",
    ),
    "newsletterAdminInviteMessage": _kind(
        "invite", "Convite para canal", text="caption", detail="newsletterName"
    ),
    "albumMessage": _kind(
        "album", "Álbum", images="expectedImageCount", videos="expectedVideoCount"
    ),
    "callLogMessage": _CALL,
    "callLogMesssage": _CALL,  # WhatsApp's spelling
    "scheduledCallCreationMessage": _kind(
        "call", "Ligação agendada", detail="title", starts_at="scheduledTimestampMs"
    ),
    "requestPaymentMessage": _PAYMENT,
    "sendPaymentMessage": _PAYMENT,
    "invoiceMessage": _kind("payment", "Fatura", text="note"),
    "paymentInviteMessage": _kind("payment", "Convite de pagamento"),
    "declinePaymentRequestMessage": _kind("payment", "Pedido de pagamento recusado"),
    "cancelPaymentRequestMessage": _kind("payment", "Pedido de pagamento cancelado"),
    "pinInChatMessage": _kind("unsupported", "Mensagem fixada", target="key.id"),
    "keepInChatMessage": _kind("unsupported", "Mensagem mantida", target="key.id"),
    "placeholderMessage": _kind("unsupported", "Mensagem disponível só no celular"),
}

UNKNOWN_KIND = _kind("unsupported", "Mensagem não suportada")
EMPTY_KIND = _kind("unsupported", "Mensagem sem conteúdo")

# They change other messages; the next issue makes them facts of their own.
NOT_YET = frozenset(
    (
        "reactionMessage",
        "encReactionMessage",
        "pollUpdateMessage",
        "editedMessage",
        "secretEncryptedMessage",
        "encEventResponseMessage",
        "protocolMessage",
    )
)

# Keys beside or instead of content that say nothing to a person.
NOISE = frozenset(
    (
        "senderKeyDistributionMessage",
        "fastRatchetKeySenderKeyDistributionMessage",
        "messageContextInfo",
        "contextInfo",
        "call",
        "chat",
        "stickerSyncRmrMessage",
        "messageHistoryBundle",
        "messageHistoryNotice",
    )
)

VIEW_ONCE = frozenset(("viewOnceMessage", "viewOnceMessageV2", "viewOnceMessageV2Extension"))
