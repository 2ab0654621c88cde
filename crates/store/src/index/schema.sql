-- Format 2 of the store's index. The meaning of each table: docs/formats/store.md.
-- Times are seconds since 1970. Digests are `algorithm:hex`.

CREATE TABLE images (
    id      TEXT PRIMARY KEY,            -- digest of the config
    created INTEGER NOT NULL,
    record  TEXT NOT NULL,               -- ImageRecord as JSON, without names
    summary TEXT                         -- what lists show of the config, JSON; NULL: not read yet
) WITHOUT ROWID;

CREATE TABLE tags (
    name     TEXT PRIMARY KEY,           -- full name, docker.io/library/node:18
    image    TEXT NOT NULL REFERENCES images(id),
    manifest TEXT NOT NULL               -- Descriptor as JSON
) WITHOUT ROWID;
CREATE INDEX tags_by_image ON tags(image);

CREATE TABLE snapshots (
    id      TEXT PRIMARY KEY,
    parent  TEXT REFERENCES snapshots(id),
    kind    TEXT NOT NULL,               -- committed | writable
    created INTEGER NOT NULL,
    size    INTEGER,                     -- bytes of own changes; NULL until measured
    files   INTEGER,                     -- entries of own changes; NULL until measured
    content TEXT REFERENCES snapshots(id) -- whose changes it has; NULL: its own
) WITHOUT ROWID;
CREATE INDEX snapshots_by_parent ON snapshots(parent);
CREATE INDEX snapshots_by_content ON snapshots(content) WHERE content IS NOT NULL;
CREATE INDEX snapshots_unmeasured ON snapshots(kind) WHERE size IS NULL AND content IS NULL;

CREATE TABLE layers (
    snapshot      TEXT NOT NULL REFERENCES snapshots(id),
    compression   TEXT NOT NULL,         -- none | gzip | zstd
    diff_id       TEXT NOT NULL,
    descriptor    TEXT NOT NULL,         -- Descriptor as JSON
    digest        TEXT NOT NULL,         -- of the blob, as in the descriptor
    unpacked_size INTEGER NOT NULL,
    virtual       INTEGER NOT NULL DEFAULT 0, -- 1: the blob can be made again, and may have no file
    PRIMARY KEY (snapshot, compression)
) WITHOUT ROWID;
CREATE INDEX layers_by_diff_id ON layers(diff_id);

CREATE TABLE diffs (
    diff_id    TEXT NOT NULL,            -- what the blob is when uncompressed
    digest     TEXT NOT NULL,
    descriptor TEXT NOT NULL,
    PRIMARY KEY (diff_id, digest)
) WITHOUT ROWID;
CREATE INDEX diffs_by_digest ON diffs(digest);

CREATE TABLE chains (
    chain_id TEXT PRIMARY KEY,
    snapshot TEXT NOT NULL REFERENCES snapshots(id)
) WITHOUT ROWID;
CREATE INDEX chains_by_snapshot ON chains(snapshot);

CREATE TABLE cache (
    key       TEXT PRIMARY KEY,
    result    TEXT NOT NULL,
    created   INTEGER NOT NULL,
    last_used INTEGER NOT NULL,
    recipe    TEXT
) WITHOUT ROWID;

-- What a cache record keeps alive.
CREATE TABLE cache_uses (
    key      TEXT NOT NULL REFERENCES cache(key),
    kind     TEXT NOT NULL,              -- snapshot | blob
    target   TEXT NOT NULL,              -- snapshot id or digest
    position INTEGER NOT NULL,
    PRIMARY KEY (key, kind, position)
) WITHOUT ROWID;
CREATE INDEX cache_uses_by_target ON cache_uses(target);

CREATE TABLE memo (
    namespace TEXT NOT NULL,
    key       BLOB NOT NULL,
    value     BLOB NOT NULL,
    PRIMARY KEY (namespace, key)
) WITHOUT ROWID;

CREATE TABLE builds (
    id      TEXT PRIMARY KEY,
    created INTEGER NOT NULL,
    record  TEXT NOT NULL,
    project TEXT NOT NULL DEFAULT ''     -- what was built, in the engine's words
) WITHOUT ROWID;
CREATE INDEX builds_by_project ON builds(project, created);

CREATE TABLE containers (
    id        TEXT PRIMARY KEY,
    name      TEXT NOT NULL UNIQUE,
    created   INTEGER NOT NULL,
    image     TEXT,
    snapshots TEXT NOT NULL,             -- JSON array of ids
    record    TEXT NOT NULL
) WITHOUT ROWID;

-- Sizes of blobs in bytes, as far as they are known without looking.
CREATE TABLE blobs (
    digest TEXT PRIMARY KEY,
    size   INTEGER NOT NULL
) WITHOUT ROWID;

-- Running sums in bytes, kept by the triggers below.
CREATE TABLE totals (
    name  TEXT PRIMARY KEY,
    bytes INTEGER NOT NULL
) WITHOUT ROWID;

-- What a collector is about to delete: whoever wants it waits until the collector has decided.
CREATE TABLE condemned (
    target TEXT PRIMARY KEY              -- snapshot id or digest
) WITHOUT ROWID;

INSERT INTO totals (name, bytes) SELECT 'blobs', 0;
INSERT INTO totals (name, bytes) SELECT 'snapshots', COALESCE(SUM(size), 0) FROM snapshots;
-- What no blob or snapshot is, and since when that is known: a new store has nothing.
INSERT INTO totals (name, bytes) VALUES ('rest', 0), ('mounts', 0), ('mounts_at', 0);
CREATE TRIGGER blob_in AFTER INSERT ON blobs BEGIN
    UPDATE totals SET bytes = bytes + NEW.size WHERE name = 'blobs';
END;
CREATE TRIGGER blob_out AFTER DELETE ON blobs BEGIN
    UPDATE totals SET bytes = bytes - OLD.size WHERE name = 'blobs';
END;
CREATE TRIGGER snapshot_measured AFTER UPDATE OF size ON snapshots BEGIN
    UPDATE totals SET bytes = bytes + COALESCE(NEW.size, 0) - COALESCE(OLD.size, 0)
    WHERE name = 'snapshots';
END;
CREATE TRIGGER snapshot_out AFTER DELETE ON snapshots WHEN OLD.size IS NOT NULL BEGIN
    UPDATE totals SET bytes = bytes - OLD.size WHERE name = 'snapshots';
END;
