-- Amounts by counter, for most folds add to what is there; the holds of a journal are those it left open.
CREATE TABLE amounts (
    counter BYTEA NOT NULL, until BIGINT NOT NULL, used BIGINT NOT NULL, PRIMARY KEY (counter, until)
) WITH (fillfactor = 70);
CREATE INDEX amounts_until ON amounts (until);
CREATE TABLE holds (
    journal TEXT COLLATE "C" NOT NULL, key TEXT COLLATE "C" NOT NULL, attempt BIGINT NOT NULL, call TEXT NOT NULL,
    record BYTEA NOT NULL, PRIMARY KEY (journal, key, attempt)
);
