"""Goods and money, events and invitations, calls, albums."""

from evorelay.protocol.normalise.kinds.kind import Kind, kind

_CALL = kind(
    "call", "Ligação de voz", text=".:call", outcome="callOutcome", seconds="durationSecs",
    video="isVideo",
)  # fmt: skip


def _payment(label: str) -> Kind:
    return kind(
        "payment",
        label,
        detail=".:total",
        text="noteMessage.extendedTextMessage.text noteMessage.conversation",
        headed=True,
        amount_1000="amount1000",
        currency="currencyCodeIso4217",
    )


BUSINESS: dict[str, Kind] = {
    "orderMessage": kind(
        "order",
        "Pedido",
        detail="orderTitle / itemCount.:quantity / .:total",
        text="message",
        headed=True,
        order_id="orderId",
        items="itemCount",
        total_1000="totalAmount1000",
        currency="totalCurrencyCode",
    ),
    "productMessage": kind(
        "product",
        "Produto",
        text=".:goods / product.description catalog.description / body / footer",
        media="product.productImage catalog.catalogImage",
        product_id="product.productId",
        title="product.title",
        price_1000="product.priceAmount1000",
        currency="product.currencyCode",
        url="product.url",
    ),
    "eventMessage": kind(
        "event",
        "Evento",
        detail="name / isCanceled.:canceled",
        text="startTime.:date / location.name location.address / description / joinLink",
        headed=True,
        name="name",
        description="description",
        place="location.name",
        starts_at="startTime",
        ends_at="endTime",
        link="joinLink",
        canceled="isCanceled",
    ),
    "groupInviteMessage": kind(
        "invite",
        "Convite para grupo",
        detail="groupName",
        text="caption",
        headed=True,
        group="groupJid",
        code="inviteCode",
    ),
    "newsletterAdminInviteMessage": kind(
        "invite", "Convite para canal", detail="newsletterName", text="caption", headed=True
    ),
    "newsletterFollowerInviteMessageV2": kind(
        "invite", "Convite para canal", detail="newsletterName", text="caption", headed=True
    ),
    "albumMessage": kind(
        "album",
        "Álbum",
        detail=".:album",
        images="expectedImageCount",
        videos="expectedVideoCount",
    ),
    "callLogMessage": _CALL,
    "callLogMesssage": _CALL,  # WhatsApp's spelling
    "scheduledCallCreationMessage": kind(
        "call",
        "Ligação agendada",
        detail="title / scheduledTimestampMs.:date",
        starts_at="scheduledTimestampMs",
    ),
    "scheduledCallEditMessage": kind("call", "Ligação agendada alterada", target="key.id"),
    "bcallMessage": kind("call", "Transmissão de áudio", detail="caption"),
    "requestPaymentMessage": _payment("Pedido de pagamento"),
    "sendPaymentMessage": _payment("Pagamento"),
    "invoiceMessage": kind("payment", "Fatura", text="note"),
    "paymentInviteMessage": kind("payment", "Convite de pagamento"),
    "declinePaymentRequestMessage": kind("payment", "Pedido de pagamento recusado"),
    "cancelPaymentRequestMessage": kind("payment", "Pedido de pagamento cancelado"),
}
