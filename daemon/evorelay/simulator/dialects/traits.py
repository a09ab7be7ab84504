"""What tells one version of Evolution's Baileys channel from another, as data.

``baileys.py`` and its neighbours hold the shapes that all versions share and ask here where they
part. Source of every line: research/evolution.md, §0 for the identities and value forms, §3.2 and
§3.3 for edits, revokes and votes, §3.6 for groups; 1.8.2 and 2.3.6 are measured.
"""

from typing import Literal

from msgspec import Struct

from evorelay.simulator.dialects.protobuf import Form


class Traits(Struct, frozen=True, kw_only=True):
    version: str
    form: Form
    """Of bytes, 64-bit numbers and enums inside ``data.message``."""
    is_v1: bool = False
    """``owner`` for ``instanceId``, no status, ``extendedTextMessage`` as it is."""
    sent_name: str = "Você"
    """``pushName`` of what we send."""
    other_name: Literal["sender", "alt"] | None = None
    """Where a person's other id stands: ``senderPn``/``senderLid``, or ``remoteJidAlt``."""
    phone_over_lid: bool = False
    """The phone is put over the privacy id in ``remoteJid``, where it is known."""
    keeps_previous: bool = False
    """… and the privacy id is kept in ``previousRemoteJid``; else it is lost."""
    empty_participant: bool = False
    edit_event: Literal["messages.upsert", "messages.edited"] = "messages.edited"
    edit_shadow: Literal["none", "no status", "DELETED", "SERVER_ACK"]
    """The ``messages.update`` that comes with an edit, by its status."""
    own_edit_event: str | None = "send.message.update"
    """Of an edit through the API."""
    protocol_events: bool = True
    """Every protocol message is forwarded as ``messages.edited``, revokes and key shares too."""
    delete_status: bool = False
    """``messages.delete`` is a key with ``status``."""
    update_fields: str = "keyId remoteJid fromMe participant status instanceId messageId"
    """Of ``messages.update``, in their order."""
    vote_event: Literal["messages.update", "messages.upsert"] | None = None
    members: Literal["strings", "objects", "objects and data"]
    """Form of ``participants`` in ``group-participants.update``."""
    history_progress: bool = False
    """``isLatest`` and ``progress`` stand in front of the envelope of ``messages.set``."""
    history_end: bool = False
    """``messaging-history.set`` says that the import is done."""

    @property
    def links_people(self) -> bool:
        """Whether a message's key can say that a phone and a privacy id are one person."""
        return self.other_name is not None


_WITH_ROW_FIRST = "messageId keyId remoteJid fromMe participant status instanceId"
_V1 = Traits(
    version="1.8.2",
    form=Form.PROTOBUF,
    is_v1=True,
    sent_name="",
    edit_event="messages.upsert",
    edit_shadow="no status",
    own_edit_event=None,
    protocol_events=False,
    vote_event="messages.update",
    members="strings",
)
_V2_2 = Traits(
    version="2.2.3",
    form=Form.PROTOBUF,
    sent_name="",
    edit_shadow="no status",
    own_edit_event=None,
    protocol_events=False,
    vote_event="messages.update",
    update_fields=_WITH_ROW_FIRST,
    members="strings",
)
_V2_3_0 = Traits(
    version="2.3.0",
    form=Form.PROTOBUF,
    other_name="sender",
    edit_shadow="DELETED",
    protocol_events=False,
    members="strings",
)
_V2_3_2 = Traits(
    version="2.3.2",
    form=Form.PROTOBUF,
    other_name="sender",
    phone_over_lid=True,
    keeps_previous=True,
    edit_shadow="DELETED",
    members="strings",
)
_V2_3_4 = Traits(
    version="2.3.4",
    form=Form.NUMBERS,
    other_name="alt",
    phone_over_lid=True,
    edit_shadow="DELETED",
    members="strings",
)
_V2_3_5 = Traits(
    version="2.3.5",
    form=Form.NUMBERS,
    other_name="alt",
    edit_shadow="none",
    members="objects",
)
_V2_3_6 = Traits(
    version="2.3.6",
    form=Form.OBJECTS,
    other_name="alt",
    empty_participant=True,
    edit_shadow="none",
    update_fields="keyId remoteJid fromMe status instanceId messageId",
    members="objects",
)
_V2_3_7 = Traits(
    version="2.3.7",
    form=Form.OBJECTS,
    other_name="alt",
    phone_over_lid=True,
    empty_participant=True,
    edit_shadow="SERVER_ACK",
    delete_status=True,
    vote_event="messages.upsert",
    update_fields=_WITH_ROW_FIRST,
    members="objects and data",
    history_progress=True,
)
_V2_4_0 = Traits(
    version="2.4.0",
    form=Form.OBJECTS,
    other_name="alt",
    phone_over_lid=True,
    empty_participant=True,
    edit_shadow="SERVER_ACK",
    delete_status=True,
    vote_event="messages.upsert",
    update_fields=_WITH_ROW_FIRST,
    members="objects and data",
    history_progress=True,
    history_end=True,
)

TRAITS = {
    traits.version: traits
    for traits in (
        *(_V1, _V2_2, _V2_3_0, _V2_3_2, _V2_3_4),
        *(_V2_3_5, _V2_3_6, _V2_3_7, _V2_4_0),
    )
}
