"""Evolution's webhooks in our words: an envelope in, facts out.

Evolution's shapes differ by version, channel and moment, and nothing in the body says which one
it is, so every field is read in all its known forms and none is trusted to have the right type.
``normalise`` is pure and total: whatever the bytes are, it answers with facts and never raises.

webhook    which event goes where; the entries
message    one message: who, when, what
kinds/     the table of WhatsApp's message types; a new type is one entry there and one fixture
content    finding the content in a message, whatever it is wrapped in
words      what a person reads of it, by the table
context    what a message says about others: quotes, mentions, its album, the ad it came from
media      the attachment of a message
recovered  rows of Evolution's own list, for messages whose webhook never came
changes    reactions, edits, deletions; votes in polls; updates, which may be any of these or
states     a delivery state
calls      calls in their states
people     names and pictures from address books; groups and who is in them
instances  connection, pairing, removal
identity   JIDs: phone, privacy id (LID), group; whose a message is
names      names fit to be shown
metadata   the bound of a message's metadata
values     readers of single values
source     what the envelope says about all of it
reason     why something went into quarantine
"""

from evorelay.protocol.normalise.reason import Reason
from evorelay.protocol.normalise.webhook import normalise, normalise_row

__all__ = ["Reason", "normalise", "normalise_row"]
