"""The store's schema, one migration per entry; a migration that has shipped is never edited.

Message text and events are written once and read in pages, so rows are kept whole and indexes few:
a message costs four index entries and an event one per channel.
"""

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

    CREATE TABLE cursors (journal TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;

    CREATE TABLE instances (
        name TEXT PRIMARY KEY, state TEXT NOT NULL, state_since INTEGER NOT NULL, reason INTEGER,
        phone TEXT, profile_name TEXT, last_event_at INTEGER NOT NULL, created_at INTEGER NOT NULL
    ) WITHOUT ROWID;

    CREATE TABLE contacts (
        id TEXT PRIMARY KEY, instance TEXT NOT NULL, name TEXT NOT NULL, phone TEXT,
        jid TEXT NOT NULL, lid TEXT, avatar_url TEXT, is_group INTEGER NOT NULL,
        created_at INTEGER NOT NULL
    ) WITHOUT ROWID;

    CREATE TABLE aliases (
        instance TEXT NOT NULL, alias TEXT NOT NULL,
        contact_id TEXT NOT NULL REFERENCES contacts (id),
        PRIMARY KEY (instance, alias)
    ) WITHOUT ROWID;

    CREATE TABLE tickets (
        id TEXT PRIMARY KEY, instance TEXT NOT NULL,
        contact_id TEXT NOT NULL REFERENCES contacts (id),
        status TEXT NOT NULL CHECK (status IN ('open', 'pending', 'closed')),
        assignee TEXT, subject TEXT, unread INTEGER NOT NULL, last_message_at INTEGER,
        last_message TEXT,
        created_at INTEGER NOT NULL, closed_at INTEGER, version INTEGER NOT NULL
    ) WITHOUT ROWID;
    -- One open ticket per person per inbox, whatever the code above believes.
    CREATE UNIQUE INDEX tickets_one_open ON tickets (contact_id) WHERE status <> 'closed';
    CREATE INDEX tickets_by_contact ON tickets (contact_id, created_at);
    CREATE INDEX tickets_by_activity ON tickets (coalesce(last_message_at, created_at), id);
    CREATE INDEX tickets_by_inbox
        ON tickets (instance, status, coalesce(last_message_at, created_at), id);

    CREATE TABLE messages (
        arrival INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE, ticket_id TEXT NOT NULL REFERENCES tickets (id),
        instance TEXT NOT NULL, direction TEXT NOT NULL CHECK (direction IN ('in', 'out')),
        sender TEXT NOT NULL, sender_id TEXT, sender_name TEXT, type TEXT NOT NULL,
        content TEXT NOT NULL, status TEXT NOT NULL, is_internal INTEGER NOT NULL,
        created_at INTEGER NOT NULL, received_at INTEGER NOT NULL,
        whatsapp_id TEXT, reply_to TEXT, reactions TEXT NOT NULL, edited_at INTEGER,
        deleted_at INTEGER, media TEXT, error TEXT, metadata TEXT NOT NULL, journal_seq INTEGER
    );
    -- The permanent key of P2: no time window, no exception.
    CREATE UNIQUE INDEX messages_once ON messages (instance, whatsapp_id);
    CREATE INDEX messages_by_ticket ON messages (ticket_id, created_at, arrival);
    -- Who may fetch a file: whoever may see a message that carries it.
    CREATE INDEX messages_by_media ON messages (media->>'id', instance) WHERE media IS NOT NULL;

    CREATE TABLE early_statuses (
        instance TEXT NOT NULL, whatsapp_id TEXT NOT NULL, status TEXT NOT NULL,
        at INTEGER NOT NULL, PRIMARY KEY (instance, whatsapp_id)
    ) WITHOUT ROWID;

    CREATE TABLE events (
        id INTEGER PRIMARY KEY, at INTEGER NOT NULL, type TEXT NOT NULL, data TEXT NOT NULL,
        positions TEXT NOT NULL
    );
    CREATE TABLE positions (
        channel TEXT NOT NULL, "offset" INTEGER NOT NULL, event_id INTEGER NOT NULL,
        PRIMARY KEY (channel, "offset")
    ) WITHOUT ROWID;
    CREATE TABLE channels (name TEXT PRIMARY KEY, head INTEGER NOT NULL) WITHOUT ROWID;

    CREATE TABLE quarantine (
        id TEXT PRIMARY KEY, journal_seq INTEGER NOT NULL, received_at INTEGER NOT NULL,
        event TEXT NOT NULL, instance TEXT NOT NULL, reason TEXT NOT NULL, detail TEXT NOT NULL,
        body TEXT NOT NULL, digest TEXT NOT NULL UNIQUE
    ) WITHOUT ROWID;
    """,
)
