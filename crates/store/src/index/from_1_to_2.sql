-- From format 1 to format 2: shared changes, layers without files, running sums, projects of builds.

ALTER TABLE images ADD COLUMN summary TEXT;
ALTER TABLE snapshots ADD COLUMN content TEXT REFERENCES snapshots(id);
CREATE INDEX snapshots_by_content ON snapshots(content) WHERE content IS NOT NULL;
CREATE INDEX snapshots_unmeasured ON snapshots(kind) WHERE size IS NULL AND content IS NULL;
ALTER TABLE layers ADD COLUMN virtual INTEGER NOT NULL DEFAULT 0;
CREATE INDEX cache_uses_by_target ON cache_uses(target);
ALTER TABLE builds ADD COLUMN project TEXT NOT NULL DEFAULT '';
CREATE INDEX builds_by_project ON builds(project, created);

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
