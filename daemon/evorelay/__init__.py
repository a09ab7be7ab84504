"""EvoRelay: WhatsApp webhooks from Evolution API, durably, onto every support agent's screen.

Words used everywhere, one meaning each:

envelope    one webhook as received, secrets removed, with its arrival time
journal     append-only log of envelopes; ``seq`` is the position in it
fact        what an envelope says in our words (a message, a status, an instance's state)
pipeline    journal -> facts -> store, in order, in batches
store       the system of record: contacts, tickets, messages, events
event       something clients are told; it has an ``offset`` in each of its channels
channel     ``ticket:<id>``, ``inbox:<instance>``, ``instance:<name>``
epoch       identity of the store's log; another epoch voids every offset
cursor      the last offset (or seq) a reader has fully handled
hub         switchboard from committed events to feeds
feed        one session's view of one channel: CATCHING_UP or LIVE
session     one connected client: who it is, what it may see, which feeds it holds
dialect     a client protocol (Centrifuge, later Socket.IO) as a codec without IO
quarantine  envelopes that were not understood, kept with the reason
shed        refuse at the door; drain: finish what is held
"""

__version__ = "0.1.0"
