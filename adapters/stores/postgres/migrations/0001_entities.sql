-- Texts compare by their bytes, as SQLite's do. `key` is the id, or what stands for a long one: an entry of an index
-- holds 2,704 bytes. See `text.bounded`.
CREATE TABLE entities (
    kind TEXT COLLATE "C" NOT NULL, key TEXT COLLATE "C" NOT NULL, id TEXT COLLATE "C" NOT NULL,
    alias TEXT COLLATE "C" NOT NULL, user_id TEXT COLLATE "C" NOT NULL, team_id TEXT COLLATE "C" NOT NULL,
    organization_id TEXT COLLATE "C" NOT NULL, blocked BOOLEAN NOT NULL, spend BIGINT NOT NULL, max_budget BIGINT,
    expires DOUBLE PRECISION, created_at DOUBLE PRECISION NOT NULL, updated_at DOUBLE PRECISION NOT NULL,
    document TEXT NOT NULL, PRIMARY KEY (kind, key)
) WITH (fillfactor = 80);
CREATE INDEX entities_alias ON entities (kind, left(alias, 200));
CREATE INDEX entities_user ON entities (kind, left(user_id, 200));
CREATE INDEX entities_team ON entities (kind, left(team_id, 200));
CREATE INDEX entities_organization ON entities (kind, left(organization_id, 200));
CREATE INDEX entities_created ON entities (kind, created_at);

-- What tells this store from every other, for processes that share more than the store.
CREATE TABLE store (identity TEXT NOT NULL);
INSERT INTO store VALUES (replace(gen_random_uuid()::text, '-', ''));
