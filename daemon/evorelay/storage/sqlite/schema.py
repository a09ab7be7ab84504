"""The store's schema, one migration per entry; a migration that has shipped is never edited.

Message text and events are written once and read in pages, so rows are kept whole and indexes few:
a message costs four index entries and its words in the index of search, an event one per channel.
"""


def _said(row: str) -> str:
    """What search finds a message by, as SQL over ``row``."""
    return (
        f"({row}.content || coalesce(' ' || ({row}.metadata->>'transcription'), '')"
        f" || coalesce(' ' || ({row}.media->>'filename'), ''))"
    )


_SEARCH = {"{said}": _said("m"), "{said_new}": _said("new"), "{said_old}": _said("old")}


def _with_search(migration: str) -> str:
    for name, sql in _SEARCH.items():
        migration = migration.replace(name, sql)
    return migration


_LOGGED = {
    "contacts": ("contact", "{row}.id"),
    "aliases": ("alias", "json_array({row}.instance, {row}.alias)"),
    "tickets": ("ticket", "{row}.id"),
    "messages": ("message", "{row}.id"),
    "members": ("member", "json_array({row}.group_id, {row}.contact_id)"),
    "seen": ("seen", "json_array({row}.ticket_id, {row}.agent)"),
    "merges": ("merge", "{row}.id"),
}
"""Table -> what its rows are called in the log of changes, and what names one of them."""


def _change_triggers() -> str:
    """Whoever changes a row of a conversation, it is noted: by SQL, so that nobody can forget."""
    return "".join(
        f"CREATE TRIGGER {table}_changed_by_{verb} AFTER {verb} ON {table} BEGIN"  # noqa: S608 -- our own names
        f" INSERT INTO changes (kind, key) VALUES ('{kind}', {key.format(row=row)}); END;"
        for table, (kind, key) in _LOGGED.items()
        for verb, row in (("insert", "new"), ("update", "new"), ("delete", "old"))
    )


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
    _with_search("""
    -- What WhatsApp says beyond messages: changes, people, groups, and who has read how far.
    CREATE TABLE messages_new (
        arrival INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE, ticket_id TEXT REFERENCES tickets (id),
        contact_id TEXT NOT NULL REFERENCES contacts (id),
        instance TEXT NOT NULL, direction TEXT NOT NULL CHECK (direction IN ('in', 'out')),
        sender TEXT NOT NULL, sender_id TEXT, sender_name TEXT, type TEXT NOT NULL,
        content TEXT NOT NULL, status TEXT NOT NULL, is_internal INTEGER NOT NULL,
        created_at INTEGER NOT NULL, received_at INTEGER NOT NULL,
        whatsapp_id TEXT, reply_to TEXT, reactions TEXT NOT NULL, edited_at INTEGER,
        deleted_at INTEGER, media TEXT, error TEXT, metadata TEXT NOT NULL, journal_seq INTEGER,
        edits TEXT NOT NULL
    );
    INSERT INTO messages_new
        SELECT m.arrival, m.id, m.ticket_id, t.contact_id, m.instance, m.direction, m.sender,
            m.sender_id, m.sender_name, m.type, m.content, m.status, m.is_internal, m.created_at,
            m.received_at, m.whatsapp_id, m.reply_to, m.reactions, m.edited_at, m.deleted_at,
            m.media, m.error, m.metadata, m.journal_seq, '[]'
        FROM messages AS m JOIN tickets AS t ON t.id = m.ticket_id;
    DROP TABLE messages;
    ALTER TABLE messages_new RENAME TO messages;
    CREATE UNIQUE INDEX messages_once ON messages (instance, whatsapp_id);
    CREATE INDEX messages_by_ticket ON messages (ticket_id, created_at, arrival);
    CREATE INDEX messages_by_media ON messages (media->>'id', instance) WHERE media IS NOT NULL;
    CREATE INDEX messages_without_ticket ON messages (contact_id) WHERE ticket_id IS NULL;

    -- Search over what was said, transcriptions and names of files too, but nothing that was
    -- deleted. The index holds no text of its own: it reads the view.
    CREATE VIEW searchable AS SELECT arrival, {said} AS content FROM messages AS m
        WHERE deleted_at IS NULL;
    CREATE VIRTUAL TABLE messages_text USING fts5(
        content, content='searchable', content_rowid='arrival',
        tokenize="unicode61 remove_diacritics 2"
    );
    CREATE TRIGGER messages_text_insert AFTER INSERT ON messages WHEN new.deleted_at IS NULL BEGIN
        INSERT INTO messages_text (rowid, content) VALUES (new.arrival, {said_new});
    END;
    CREATE TRIGGER messages_text_update AFTER UPDATE ON messages
    WHEN old.content IS NOT new.content OR (old.deleted_at IS NULL) <> (new.deleted_at IS NULL)
        OR old.media IS NOT new.media OR old.metadata IS NOT new.metadata
    BEGIN
        INSERT INTO messages_text (messages_text, rowid, content)
            SELECT 'delete', old.arrival, {said_old} WHERE old.deleted_at IS NULL;
        INSERT INTO messages_text (rowid, content)
            SELECT new.arrival, {said_new} WHERE new.deleted_at IS NULL;
    END;
    CREATE TRIGGER messages_text_delete AFTER DELETE ON messages WHEN old.deleted_at IS NULL BEGIN
        INSERT INTO messages_text (messages_text, rowid, content)
            VALUES ('delete', old.arrival, {said_old});
    END;
    INSERT INTO messages_text (messages_text) VALUES ('rebuild');

    CREATE TABLE early_changes (
        instance TEXT NOT NULL, whatsapp_id TEXT NOT NULL, changes TEXT NOT NULL,
        at INTEGER NOT NULL, PRIMARY KEY (instance, whatsapp_id)
    ) WITHOUT ROWID;
    CREATE INDEX early_changes_by_age ON early_changes (at);
    INSERT INTO early_changes SELECT instance, whatsapp_id,
        json_array(json_object('is', 'status', 'status', status)), at FROM early_statuses;
    DROP TABLE early_statuses;

    ALTER TABLE contacts ADD COLUMN name_rank INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE contacts ADD COLUMN name_at INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE contacts ADD COLUMN address_at INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE contacts ADD COLUMN merged_into TEXT;
    CREATE INDEX contacts_merged ON contacts (merged_into) WHERE merged_into IS NOT NULL;
    UPDATE contacts SET name_rank = 2, name_at = 1
        WHERE name <> coalesce(phone, '') AND jid <> name || '@g.us' AND jid <> name || '@lid';
    CREATE INDEX aliases_by_contact ON aliases (contact_id);
    UPDATE OR IGNORE aliases SET alias = substr(alias, 1, 8) || substr(alias, 10)
        WHERE length(alias) = 19 AND (alias LIKE 'phone:521%' OR alias LIKE 'phone:549%');
    UPDATE OR IGNORE aliases SET alias = substr(alias, 1, 10) || '9' || substr(alias, 11)
        WHERE length(alias) = 18 AND alias LIKE 'phone:55%'
            AND substr(alias, 11, 1) BETWEEN '2' AND '5'
            AND EXISTS (SELECT 1 FROM contacts AS c WHERE c.id = contact_id AND c.phone =
                substr(alias, 7, 4) || '9' || substr(alias, 11));
    UPDATE contacts SET name = CASE
            WHEN is_group THEN 'Grupo …' || substr(replace(jid, '@g.us', ''), -4)
            WHEN phone IS NOT NULL THEN '+' || phone
            ELSE 'Contato …' || substr(replace(jid, '@lid', ''), -4) END
        WHERE name_rank = 0;

    ALTER TABLE tickets ADD COLUMN last_message_id TEXT;
    ALTER TABLE tickets ADD COLUMN inbound INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE tickets ADD COLUMN waiting_since INTEGER;
    ALTER TABLE tickets ADD COLUMN last_reply_at INTEGER;
    ALTER TABLE tickets ADD COLUMN last_inbound_at INTEGER;
    ALTER TABLE tickets ADD COLUMN merged_into TEXT;
    UPDATE tickets SET
        last_message_id = (SELECT id FROM messages WHERE ticket_id = tickets.id
            ORDER BY created_at DESC, arrival DESC LIMIT 1),
        inbound = (SELECT count(*) FROM messages
            WHERE ticket_id = tickets.id AND direction = 'in'),
        last_reply_at = (SELECT max(created_at) FROM messages
            WHERE ticket_id = tickets.id AND direction = 'out'),
        last_inbound_at = (SELECT max(created_at) FROM messages
            WHERE ticket_id = tickets.id AND direction = 'in');
    UPDATE tickets SET waiting_since = (SELECT min(created_at) FROM messages
        WHERE ticket_id = tickets.id AND direction = 'in'
            AND created_at > coalesce(last_reply_at, 0));
    CREATE TABLE seen (
        ticket_id TEXT NOT NULL REFERENCES tickets (id), agent TEXT NOT NULL,
        inbound INTEGER NOT NULL, PRIMARY KEY (ticket_id, agent)
    ) WITHOUT ROWID;

    CREATE TABLE members (
        group_id TEXT NOT NULL REFERENCES contacts (id),
        contact_id TEXT NOT NULL REFERENCES contacts (id),
        role TEXT, PRIMARY KEY (group_id, contact_id)
    ) WITHOUT ROWID;
    CREATE INDEX members_by_contact ON members (contact_id);

    CREATE TABLE merges (
        id TEXT PRIMARY KEY, instance TEXT NOT NULL, at INTEGER NOT NULL,
        kept_contact TEXT NOT NULL, absorbed_contact TEXT NOT NULL,
        kept_ticket TEXT, absorbed_ticket TEXT, absorbed_status TEXT,
        aliases TEXT NOT NULL, tickets TEXT NOT NULL, undone_at INTEGER
    ) WITHOUT ROWID;
    CREATE INDEX merges_by_ticket ON merges (absorbed_ticket);
    CREATE INDEX merges_by_contact ON merges (absorbed_contact);

    ALTER TABLE instances ADD COLUMN cause TEXT;
    ALTER TABLE instances ADD COLUMN qrcode TEXT;
    ALTER TABLE instances ADD COLUMN told_at INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE instances ADD COLUMN is_untold INTEGER NOT NULL DEFAULT 0;

    ALTER TABLE quarantine ADD COLUMN replayed_at INTEGER;
    """),
    """
    -- Replies: commands, files handed in to be sent, files to be fetched, and how instances are.
    CREATE TABLE outbox (
        id TEXT PRIMARY KEY, instance TEXT NOT NULL,
        contact_id TEXT NOT NULL REFERENCES contacts (id),
        ticket_id TEXT NOT NULL, message_id TEXT NOT NULL, op_id TEXT NOT NULL,
        digest TEXT NOT NULL, agent TEXT NOT NULL, outgoing TEXT NOT NULL,
        state TEXT NOT NULL CHECK
            (state IN ('queued', 'sending', 'unknown', 'sent', 'failed', 'kept')),
        attempts INTEGER NOT NULL, created_at INTEGER NOT NULL, queued_at INTEGER NOT NULL,
        due_at INTEGER NOT NULL, attempted_at INTEGER, ended_at INTEGER, own_id TEXT,
        error TEXT, is_first INTEGER NOT NULL, doubt_since INTEGER
    ) WITHOUT ROWID;
    -- The key of an agent's command: asked for twice within the retention, done once (P4).
    CREATE UNIQUE INDEX outbox_once ON outbox (instance, op_id);
    CREATE INDEX outbox_unfinished ON outbox (queued_at, id)
        WHERE state IN ('queued', 'sending', 'unknown');
    CREATE INDEX outbox_in_doubt ON outbox (contact_id)
        WHERE doubt_since IS NOT NULL AND state <> 'sent';
    CREATE INDEX outbox_sent ON outbox (instance, ended_at) WHERE state = 'sent';
    CREATE INDEX outbox_silent ON outbox (due_at) WHERE state = 'sent' AND due_at > 0;
    CREATE INDEX outbox_failed ON outbox (id) WHERE state = 'failed';
    CREATE INDEX outbox_by_message ON outbox (message_id);
    CREATE INDEX outbox_by_contact ON outbox (contact_id);
    CREATE INDEX outbox_by_end ON outbox (ended_at) WHERE state IN ('sent', 'failed', 'kept');

    CREATE TABLE uploads (
        id TEXT PRIMARY KEY, agent TEXT NOT NULL, at INTEGER NOT NULL, media TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX uploads_by_age ON uploads (at);

    CREATE TABLE fetches (
        message_id TEXT PRIMARY KEY, instance TEXT NOT NULL, attempts INTEGER NOT NULL,
        due_at INTEGER NOT NULL, at INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX fetches_by_due ON fetches (due_at);

    ALTER TABLE instances ADD COLUMN polled_at INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE instances ADD COLUMN suspicion TEXT;
    ALTER TABLE instances ADD COLUMN registration TEXT;
    ALTER TABLE instances ADD COLUMN reconciled_at INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE instances ADD COLUMN reconnected_at INTEGER NOT NULL DEFAULT 0;
    """,
    """
    -- Socket.IO: one order of all events, whose command an event is, and who is in which rooms.
    -- The nameless channel is the log itself: its head, the id given last, outlives retention.
    INSERT OR REPLACE INTO channels SELECT '', coalesce(max(id), 0) FROM events;
    ALTER TABLE events ADD COLUMN origin TEXT;
    ALTER TABLE outbox ADD COLUMN path TEXT NOT NULL DEFAULT '';
    CREATE TABLE sockets (
        pid TEXT PRIMARY KEY, agent TEXT NOT NULL, rooms TEXT NOT NULL, at INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX sockets_by_age ON sockets (at);
    """,
    """
    -- How much waits in quarantine is asked every few seconds; bodies are not read for it.
    CREATE INDEX quarantine_waiting ON quarantine (received_at) WHERE replayed_at IS NULL;
    """,
    """
    -- Retention: files and messages that go by age, and which blobs somebody still needs.
    CREATE INDEX messages_with_file ON messages (received_at)
        WHERE media->>'id' IS NOT NULL AND media->>'state' IS NOT 'removed';
    CREATE INDEX outbox_by_blob ON outbox (outgoing->'media'->>'blob')
        WHERE outgoing->'media'->>'blob' IS NOT NULL;
    CREATE INDEX quarantine_by_age ON quarantine (received_at);
    -- Found when somebody looks (``note_quarantined_blobs``): '' for a body that names none, and
    -- ``is_body`` for the blob that is the body, and may name others.
    CREATE TABLE quarantine_blobs (
        quarantine_id TEXT NOT NULL REFERENCES quarantine (id), blob TEXT NOT NULL,
        is_body INTEGER NOT NULL, PRIMARY KEY (quarantine_id, blob)
    ) WITHOUT ROWID;
    CREATE INDEX quarantine_blobs_by_blob ON quarantine_blobs (blob);
    -- Messages that came in and are gone: ``inbound`` goes on counting them.
    ALTER TABLE tickets ADD COLUMN forgotten INTEGER NOT NULL DEFAULT 0;
    -- A word that is deleted or edited away is taken out of the index, not only marked.
    INSERT INTO messages_text (messages_text, rank) VALUES ('secure-delete', 1);
    """,
    """
    -- Backups: which rows changed since the last one, in the order of commits. Retention drops what
    -- has been backed up, but never the last row: numbers are not given twice.
    CREATE TABLE changes (
        revision INTEGER PRIMARY KEY, kind TEXT NOT NULL, key TEXT NOT NULL
    );
    """
    + _change_triggers(),
    """
    -- What was tried with a command, for the trace of its message.
    ALTER TABLE outbox ADD COLUMN tries TEXT NOT NULL DEFAULT '[]';
    """,
    """
    -- A place in a group that becomes another person's is gone under its old key.
    CREATE TRIGGER members_changed_from AFTER UPDATE ON members
    WHEN (old.group_id, old.contact_id) IS NOT (new.group_id, new.contact_id) BEGIN
        INSERT INTO changes (kind, key)
            VALUES ('member', json_array(old.group_id, old.contact_id));
    END;
    """,
    """
    -- Back to marking: taking a word out of the index at once is twenty times dearer (4 ms for a
    -- message among 1,000,000), and an erasure merges the index anyway (``Maintenance.scrub``).
    INSERT INTO messages_text (messages_text, rank) VALUES ('secure-delete', 0);
    """,
)


def problem_of(version: int) -> str | None:
    """Why a store of this schema version cannot be read as it is; None when it can."""
    if version > len(MIGRATIONS):
        return f"the store was written by a newer evorelay (schema {version})"
    if version < len(MIGRATIONS):
        return "the store is older than this evorelay: start the daemon once, which updates it"
    return None
