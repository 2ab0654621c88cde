-- Format 1 of the store's index. The meaning of each table: docs/formats/store.md.
-- Times are seconds since 1970. Digests are `algorithm:hex`.

CREATE TABLE images (
    id      TEXT PRIMARY KEY,            -- digest of the config
    created INTEGER NOT NULL,
    record  TEXT NOT NULL                -- ImageRecord as JSON, without names
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
    files   INTEGER                      -- entries of own changes; NULL until measured
) WITHOUT ROWID;
CREATE INDEX snapshots_by_parent ON snapshots(parent);

CREATE TABLE layers (
    snapshot      TEXT NOT NULL REFERENCES snapshots(id),
    compression   TEXT NOT NULL,         -- none | gzip | zstd
    diff_id       TEXT NOT NULL,
    descriptor    TEXT NOT NULL,         -- Descriptor as JSON
    digest        TEXT NOT NULL,         -- of the blob, as in the descriptor
    unpacked_size INTEGER NOT NULL,
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

CREATE TABLE memo (
    namespace TEXT NOT NULL,
    key       BLOB NOT NULL,
    value     BLOB NOT NULL,
    PRIMARY KEY (namespace, key)
) WITHOUT ROWID;

CREATE TABLE builds (
    id      TEXT PRIMARY KEY,
    created INTEGER NOT NULL,
    record  TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE containers (
    id        TEXT PRIMARY KEY,
    name      TEXT NOT NULL UNIQUE,
    created   INTEGER NOT NULL,
    image     TEXT,
    snapshots TEXT NOT NULL,             -- JSON array of ids
    record    TEXT NOT NULL
) WITHOUT ROWID;
