"""What people say: customer-support conversations of a Brazilian furniture shop.

In braces stand the facts of one conversation (``facts``). A line is said by the client, by an
agent through the API, or by somebody of the shop on the phone itself. Clients speak without
grammatical gender, because any of the people may get any of the lines.
"""

import random

from msgspec import Struct

CLIENT, AGENT, PHONE = "client", "agent", "phone"


class Line(Struct, frozen=True):
    who: str
    text: str
    kind: str = "text"
    """A key of ``dialects.KINDS``; with a file the text is its caption."""
    quotes: int = 0
    """This line answers the one so many lines before it; 0: none."""


def client(text: str = "", kind: str = "text", *, quotes: int = 0) -> Line:
    return Line(CLIENT, text, kind, quotes)


def agent(text: str = "", kind: str = "text", *, quotes: int = 0) -> Line:
    return Line(AGENT, text, kind, quotes)


def phone(text: str = "", kind: str = "text", *, quotes: int = 0) -> Line:
    return Line(PHONE, text, kind, quotes)


CONVERSATIONS: tuple[tuple[Line, ...], ...] = (
    (
        client("Oi, bom dia! 😊"),
        client("Vocês têm {produto} em estoque?"),
        agent("Bom dia, {nome}! Aqui é a {atendente}. Temos sim, pronta entrega ✅", quotes=1),
        client("", "image"),
        client("É igual ao da foto?"),
        agent("Igualzinho! Fica {valor} à vista, ou em até 10x sem juros no cartão."),
        client("Vi neste link aqui: https://loja.example/sofa-jalapao", "link"),
        client("E a entrega em {cidade}, quanto sai?"),
        agent("Para {cidade} o frete é grátis acima de R$ 500,00 🚚 Chega em {dias} dias úteis."),
        client("Perfeito, vou querer! Valeu mesmo 🙏"),
        agent("Nós que agradecemos! Qualquer dúvida é só chamar por aqui 💛"),
    ),
    (
        client("boa tarde"),
        client("queria saber do meu pedido {pedido}, era pra ter chegado ontem"),
        agent("Boa tarde, {nome}! Vou verificar agora mesmo, só um instante."),
        agent("O pedido {pedido} saiu do centro de distribuição hoje às 7h40 e está em rota 🚚"),
        client("Chega hoje ainda?", quotes=1),
        agent("Chega sim, até as 18h. Vai ter alguém no endereço para receber?"),
        client("Vai sim, pode deixar na portaria se precisar"),
        client("📍", "location"),
        phone("Combinado! Já avisei o motorista."),
        client("Chegou agora, tudo certinho 👏👏"),
        agent("Que bom, {nome}! Obrigada pela confiança 😊"),
    ),
    (
        client("Oi! Posso pagar no Pix?"),
        agent("Pode sim! No Pix ainda tem 5% de desconto: fica {valor}."),
        agent("A chave é o nosso CNPJ: 12.345.678/0001-90, em nome de Aurora Móveis Ltda."),
        client("Fiz agora, segue o comprovante", "image"),
        agent("Recebido, {nome}! O pagamento já caiu aqui ✅", quotes=1),
        agent("Segue a nota fiscal do pedido {pedido}.", "captioned document"),
        client("Boa! Quando despacham?"),
        agent("Ainda hoje, no fim da tarde. Mando o código de rastreio assim que sair 📦"),
        client("👍", "sticker"),
    ),
    (
        client("Comprei {produto} com vocês e veio com um risco enorme na lateral 😡"),
        client("", "image"),
        client("Olha isso. Que decepção, sinceramente"),
        agent("{nome}, sinto muito por isso. Você tem toda a razão em reclamar."),
        agent(
            "Posso enviar uma peça nova sem custo, ou devolver o valor de {valor}. O que prefere?"
        ),
        client("Dá pra ver melhor no vídeo", "video"),
        client("Prefiro a troca, mas preciso pra antes do fim de semana", quotes=2),
        phone("Falei com o depósito: a peça nova sai amanhã cedo e chega na sexta."),
        client("Tá bom, vou aguardar"),
        agent(
            "Registrei no pedido {pedido}. Fico acompanhando até chegar aí, pode contar comigo 🤝"
        ),
        client("Agradeço a atenção, {atendente}"),
    ),
    (
        client("", "voice"),
        client("Desculpa o áudio, tô dirigindo 😅"),
        agent("Sem problema! Ouvi aqui: você quer mudar o endereço de entrega, certo?", quotes=2),
        client("Isso! Agora é Rua das Acácias, 245, apto 31, {cidade}"),
        agent("Atualizado no pedido {pedido} ✅ O prazo continua o mesmo: {dias} dias úteis."),
        client("Show, valeu demais! 🚀"),
    ),
    (
        client("Bom dia, vocês parcelam no boleto?", "from an ad"),
        agent(
            "Bom dia, {nome}! No boleto é só à vista, mas no cartão parcelamos em 10x sem juros 💳"
        ),
        client("E aceita dois cartões?"),
        agent("Aceitamos sim, você divide como preferir no site.", quotes=1),
        client("Ótimo. E o sofá tem garantia?"),
        agent("Tem 12 meses de garantia para a estrutura e 3 meses para o tecido."),
        client("Vou conversar aqui em casa e te falo ❤️"),
        agent("Claro, {nome}! Deixo o orçamento salvo até sexta-feira."),
        agent("", "document"),
    ),
    (
        client("Alguém aí??"),
        client("Terceira vez que chamo e ninguém responde"),
        agent("Oi, {nome}! Peço desculpas pela demora, hoje o movimento está acima do normal 🙏"),
        client("Só quero a segunda via do boleto do pedido {pedido}"),
        client("Segunda via de boleto", "list reply"),
        agent("Aqui está.", "captioned document"),
        client("Agora sim. Agradeço"),
        agent("Imagina! Precisando, me chame: sou a {atendente}, do financeiro.", quotes=1),
    ),
    (
        client("Olá! A montagem está inclusa?"),
        agent("Olá, {nome}! Para {cidade} a montagem é por nossa conta 🔧"),
        client("Que ótimo! Pode ser no sábado de manhã?"),
        agent("Qual o melhor período para a montagem?", "poll"),
        phone("Sábado temos um horário às 9h e outro às 11h."),
        client("9h tá perfeito", quotes=1),
        agent("Agendado: sábado, 9h, com o montador Josué. Ele liga 30 min antes ⏰"),
        phone("Josué Montador", "contact"),
        client("", "voice"),
        agent("Pode deixar, aviso que o interfone está quebrado 😉", quotes=1),
        client("kkkk valeu, viu 😂"),
    ),
    (
        client("Gente, chegou! Ficou lindo demais na sala 😍"),
        client("Olha só", "album"),
        client("Olha só", "image"),
        client("De outro ângulo", "image"),
        agent("Que lindo, {nome}! Podemos publicar a foto no nosso Instagram?", quotes=1),
        client("Pode sim, marca a gente! 📸"),
        agent("Obrigada!! Preparei um cupom de 10% para a próxima compra: AURORA10 🎁"),
        client("Amei o atendimento de vocês, nota 10 ⭐⭐⭐⭐⭐"),
    ),
    (
        client("Quero cancelar o pedido {pedido}"),
        agent("Oi, {nome}. Posso saber o motivo? Talvez eu consiga ajudar."),
        client("Achei mais barato em outro lugar"),
        client("Olha este aqui", "forwarded"),
        agent("Entendo! Consigo cobrir a oferta: faço {valor} com o frete incluso."),
        client("Sério? Aí eu fico", quotes=1),
        agent("Sério 😄 Já ajustei. A diferença volta para o seu cartão em até 2 faturas."),
        client("Fechado então, valeu demais!"),
    ),
)

GROUP_CONVERSATION: tuple[Line, ...] = (
    client("Bom dia, grupo! ☀️"),
    client("Saiu a tabela nova?"),
    agent("Bom dia, pessoal! Segue a tabela de revenda deste mês.", "captioned document"),
    client("Valeu! O frete para {cidade} mudou?", quotes=1),
    phone("Mudou não, continua o mesmo."),
    client("Ontem vendi {produto} 🎉"),
    client("Parabéns!! 👏", quotes=1),
    client("Alguém tem foto do mostruário?"),
    client("Tenho essa aqui", "image"),
)

_PRODUCTS = (
    "a mesa Ipê de 6 lugares",
    "o sofá Jalapão de 3 lugares",
    "a estante Araucária",
    "a poltrona Noronha",
    "o rack Pantanal de 1,80 m",
    "a cama box Chapada",
)
_PRICES = ("R$ 389,90", "R$ 649,00", "R$ 1.249,90", "R$ 2.190,00", "R$ 3.480,50")
_CITIES = ("Campinas", "Niterói", "Belo Horizonte", "São José", "Goiânia", "Olinda", "Maringá")
_AGENTS = ("Carla", "Renata", "Bia", "Jussara")


_SMALL_TALK = (
    "Oi, tudo bem?",
    "Vocês entregam no sábado?",
    "Qual o prazo para {cidade}?",
    "Gostei da cor 😍",
    "Pode ser às 9h?",
    "Combinado, muito obrigada pela atenção 🙏",
    "Fica {valor} com o frete",
    "Meu pedido é o {pedido}",
    "Não recebi o código ainda",
    "Vou conversar em casa e te falo\nJá volto",
    "{produto} ainda está em promoção?",
)


def small_talk(rng: random.Random) -> str:
    """One line that anybody may say at any time."""
    return rng.choice(_SMALL_TALK).format_map(facts("Ana", rng))


def facts(name: str, rng: random.Random) -> dict[str, str]:
    """The facts of one conversation with a person of that name."""
    return {
        "nome": name.split()[0],
        "atendente": rng.choice(_AGENTS),
        "produto": rng.choice(_PRODUCTS),
        "valor": rng.choice(_PRICES),
        "cidade": rng.choice(_CITIES),
        "pedido": str(rng.randint(10_000, 99_999)),
        "dias": str(rng.randint(2, 9)),
    }
