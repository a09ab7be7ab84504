"""What has buttons, lists and forms, and the answers to them.

Texts are read from top to bottom as the phone shows them: title, body, footer. What can be pressed
is in the metadata.
"""

from evorelay.protocol.normalise.kinds.kind import Kind, kind

_FLOW = "nativeFlowResponseMessage.paramsJson"

INTERACTIVE: dict[str, Kind] = {
    "buttonsResponseMessage": kind(
        "text", "Resposta de botão", text="selectedDisplayText", selected_id="selectedButtonId"
    ),
    "templateButtonReplyMessage": kind(
        "text",
        "Resposta de botão",
        text="selectedDisplayText",
        selected_id="selectedId",
        selected_index="selectedIndex",
    ),
    "listResponseMessage": kind(
        "text",
        "Resposta de lista",
        text="title / description",
        selected_id="singleSelectReply.selectedRowId",
        description="description",
    ),
    "interactiveResponseMessage": kind(
        "text",
        "Resposta de formulário",
        text=f"body.text {_FLOW}.{{}}.title {_FLOW}.{{}}.display_text / {_FLOW}.{{}}.:form"
        f" {_FLOW}.{{}}.description",
        selected_id=f"{_FLOW}.{{}}.id",
        params=_FLOW,
    ),
    "templateMessage": kind(
        "text",
        "Modelo de mensagem",
        text="hydratedTemplate.hydratedTitleText hydratedFourRowTemplate.hydratedTitleText"
        " interactiveMessageTemplate.header.title"
        " / hydratedTemplate.hydratedContentText hydratedFourRowTemplate.hydratedContentText"
        " interactiveMessageTemplate.body.text"
        " / hydratedTemplate.hydratedFooterText hydratedFourRowTemplate.hydratedFooterText"
        " interactiveMessageTemplate.footer.text",
        media="hydratedTemplate.imageMessage hydratedTemplate.videoMessage"
        " hydratedTemplate.documentMessage hydratedFourRowTemplate.imageMessage"
        " hydratedFourRowTemplate.videoMessage hydratedFourRowTemplate.documentMessage"
        " interactiveMessageTemplate.header.imageMessage",
        buttons="hydratedTemplate.hydratedButtons.:buttons"
        " hydratedFourRowTemplate.hydratedButtons.:buttons"
        " interactiveMessageTemplate.nativeFlowMessage.buttons.:buttons",
    ),
    "highlyStructuredMessage": kind(
        "text",
        "Modelo de mensagem",
        text="hydratedHsm.hydratedTemplate.hydratedTitleText"
        " / hydratedHsm.hydratedTemplate.hydratedContentText"
        " / hydratedHsm.hydratedTemplate.hydratedFooterText",
        buttons="hydratedHsm.hydratedTemplate.hydratedButtons.:buttons",
    ),
    "interactiveMessage": kind(
        "text",
        "Mensagem interativa",
        text="header.title / header.subtitle / body.text / footer.text"
        " / nativeFlowMessage.buttons.:pix",
        listed="carouselMessage.cards.*.body.text",
        media="header.imageMessage header.videoMessage header.documentMessage"
        " header.productMessage.product.productImage",
        buttons="nativeFlowMessage.buttons.:buttons",
        rows="nativeFlowMessage.buttons.:rows",
    ),
    "buttonsMessage": kind(
        "text",
        "Mensagem com botões",
        text="text / contentText / footerText",
        media="imageMessage videoMessage documentMessage",
        buttons="buttons.:buttons",
    ),
    "buttonMessage": kind(  # EVOLUTION channel: its fields stand in the message itself
        "text",
        "Mensagem com botões",
        text="title / description body / footer",
        buttons="buttons.:buttons",
    ),
    "listMessage": kind(
        "text",
        "Mensagem com lista",
        text="title / description / footerText footer",
        button="buttonText",
        rows="sections.*.rows.*.title",
    ),
    "richResponseMessage": kind(  # an answer of Meta AI
        "text", "Resposta da Meta AI", text="submessages.:paragraphs"
    ),
}
