"""Evolution's webhooks in our words: an envelope in, facts out.

Evolution's shapes differ by version, channel and moment, and nothing in the body says which one
it is, so every field is read in all its known forms and none is trusted to have the right type.
``normalise`` is pure and total: whatever the bytes are, it answers with facts and never raises.

webhook    which event goes where; the entry
message    one message: who, when, what
kinds      the table of WhatsApp's message types; a new type is one entry there and one fixture
content    finding the content in a message, whatever it is wrapped in
media      the attachment of a message
identity   JIDs: phone, privacy id (LID), group
states     delivery states and an instance's connection
values     readers of single values
reason     why something went into quarantine
"""

from evorelay.protocol.normalise.reason import Reason
from evorelay.protocol.normalise.webhook import normalise

__all__ = ["Reason", "normalise"]
