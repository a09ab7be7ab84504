"""What people write and send: texts, files, places, contact cards, polls."""

from evorelay.protocol.normalise.kinds.kind import Kind, kind

_CONTACT = kind("contact", "Contato", detail=".:names", contacts=".:cards", vcard="vcard")
_POLL = kind(
    "poll",
    "Enquete",
    detail="name",
    listed="options.*.optionName",
    question="name",
    options="options.*.optionName",
    selectable="selectableOptionsCount",
)
_POLL_RESULT = kind(
    "poll",
    "Resultado da enquete",
    detail="name",
    listed="pollVotes.:tally",
    question="name",
    options="pollVotes.*.optionName",
    counts="pollVotes.*.optionVoteCount",
)

PLAIN: dict[str, Kind] = {
    "conversation": kind("text", "Mensagem vazia", text="."),
    "extendedTextMessage": kind(
        "text",
        "Mensagem vazia",
        text="text",
        link="matchedText",
        link_title="title",
        link_description="description",
    ),
    "imageMessage": kind("image", "Imagem", text="caption", media="."),
    "videoMessage": kind(
        "video", "Vídeo", text="caption gifPlayback.:gif", media=".", gif="gifPlayback"
    ),
    "ptvMessage": kind("video", "Mensagem de vídeo", text="caption", media=".", round=".:yes"),
    "audioMessage": kind("audio", "Áudio", text="caption", media="."),
    "documentMessage": kind(
        "document",
        "Documento",
        text="caption",
        media=".",
        detail=".:filename",
        pages="pageCount",
    ),
    "stickerMessage": kind("sticker", "Figurinha", text="caption", media="."),
    "stickerPackMessage": kind(
        "sticker",
        "Pacote de figurinhas",
        detail="name / publisher",
        text="caption",
        headed=True,
        publisher="publisher",
    ),
    "locationMessage": kind(
        "location",
        "Localização",
        detail="name / address",
        text="caption comment",
        headed=True,
        latitude="degreesLatitude latitude",
        longitude="degreesLongitude longitude",
        name="name",
        address="address",
        url="url",
        live="isLive",
    ),
    "liveLocationMessage": kind(
        "location",
        "Localização em tempo real",
        text="caption",
        headed=True,
        latitude="degreesLatitude",
        longitude="degreesLongitude",
        sequence="sequenceNumber",
    ),
    "contactMessage": _CONTACT,
    "contact": _CONTACT,  # send.message of the Cloud API channel
    "contactsArrayMessage": kind(
        "contact",
        "Contatos",
        detail="contacts.:names displayName",
        contacts="contacts.:cards",
        vcards="contacts.*.vcard",
    ),
    "pollCreationMessage": _POLL,
    "pollCreationMessageV2": _POLL,
    "pollCreationMessageV3": _POLL,
    "pollCreationMessageV5": _POLL,
    "pollCreationMessageV6": _POLL,
    "pollResultSnapshotMessage": _POLL_RESULT,
    "pollResultSnapshotMessageV3": _POLL_RESULT,
    "pinInChatMessage": kind(
        "unsupported", "Mensagem fixada", text="type.:pinned", target="key.id"
    ),
    "keepInChatMessage": kind(
        "unsupported", "Mensagem mantida", text="keepType.:kept", target="key.id"
    ),
    "placeholderMessage": kind(
        "unsupported", "Mensagem disponível só no celular", placeholder=".:yes"
    ),
    "requestPhoneNumberMessage": kind("unsupported", "Pedido de número de telefone"),
}
