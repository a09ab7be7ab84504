"""Keeping the truth of one instance while its days are written (``truth.py``)."""

from evorelay.simulator.acts import Call, Change, Edit, Reaction, Receipt, Revoke, Vote
from evorelay.simulator.cast import Group, Instance, Message, Person
from evorelay.simulator.dialects import KINDS, Webhook
from evorelay.simulator.dialects.envelope import Data
from evorelay.simulator.mornings import Morning, members_named
from evorelay.simulator.truth import MessageKey, MessageTruth, PersonTruth, Witness


class Book:
    def __init__(self, instance: Instance) -> None:
        self.messages: dict[MessageKey, MessageTruth] = {}
        self.never: set[MessageKey] = set()
        self.calls: dict[MessageKey, str] = {}
        self._name = instance.name
        self._witness = Witness(instance)

    def persons(self) -> list[PersonTruth]:
        return self._witness.persons()

    def enter(self, message: Message, key: Data, *, quotes: bool) -> MessageTruth:
        """A message that came under that ``key``. ``quotes``: the webhook says what it answers."""
        kind = KINDS[message.kind]
        chat = message.chat
        alias = self._witness.see([chat.jid] if message.mistaken_for else key.values())
        quoted = message.quotes if quotes and not kind.is_about else None
        truth = MessageTruth(
            instance=self._name,
            whatsapp_id=message.id,
            chat="group:" + chat.jid if isinstance(chat, Group) else str(alias),
            person=chat.phone if isinstance(chat, Person) else None,
            author=alias if isinstance(chat, Group) else None,
            from_me=message.author is None,
            origin=None if message.author else ("api" if message.through_api else "phone"),
            sent_s=message.sent_ms // 1000,
            kind=message.kind,
            stored_as=kind.stored_as,
            text=message.text if message.text and kind.words == "whole" else None,
            within=message.text if kind.words == "within" else None,
            transcription=message.text if kind.words == "beside" else None,
            quotes=quoted.id if quoted else None,
        )
        self.messages[truth.instance, truth.whatsapp_id] = truth
        return truth

    def enter_call(self, call: Call, at_ms: int) -> None:
        key = (self._name, call.id)
        self.calls[key] = call.outcome
        self.messages[key] = MessageTruth(
            instance=self._name,
            whatsapp_id=call.id,
            chat=str(self._witness.see([call.address.primary])),
            person=call.caller.phone,
            author=None,
            from_me=False,
            origin=None,
            sent_s=at_ms // 1000,
            kind="call",
            stored_as="call",
            text=None,
            within=None,
        )

    def enter_morning(self, day: Morning) -> None:
        for _, webhooks in day.webhooks:
            for webhook in webhooks:
                for member in members_named(webhook):
                    self._witness.see(member)
        self.never |= {(self._name, id_) for id_ in day.never}
        for message, key in day.imported:
            truth = self.enter(message, key, quotes=False)
            truth.is_history = True
            if truth.from_me:
                truth.advance("READ")
        for message, key in day.broadcast:
            self.enter(message, key, quotes=False)

    def change(self, change: Change, webhooks: list[Webhook]) -> None:
        """What the webhooks told; without any, nobody can know of it."""
        if not webhooks:
            return
        target = change.poll if isinstance(change, Vote) else change.target
        truth = self.messages[self._name, target.id]
        alias = self._see_sender(webhooks[0])
        match change:
            case Receipt():
                truth.advance(change.status)
            case Reaction():
                self.never.add((self._name, change.id))
                theirs = str(alias) if isinstance(target.chat, Group) else "them"
                who = theirs if change.author else "me"
                truth.reactions.pop(who, None)
                if change.emoji:
                    truth.reactions[who] = change.emoji
            case Edit():
                self.never.add((self._name, change.id))
                truth.edited = True
                truth.text = truth.text if change.is_encrypted else change.text
            case Revoke():
                truth.deleted = True
            case Vote():
                self.never.add((self._name, change.id))
                truth.votes["them"] = change.options

    def _see_sender(self, webhook: Webhook) -> str | None:
        """A change that comes as a message has a key of its own."""
        if webhook.event not in ("messages.upsert", "send.message"):
            return None
        return self._witness.see(webhook.data["key"].values())
