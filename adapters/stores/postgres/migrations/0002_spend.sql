-- No column of a request's own is unique: an upstream may give every answer the same id. `number` tells rows of one
-- instant apart. Texts that come from outside are in an index by their beginning, or by a hash.
CREATE TABLE spend_logs (
    number BIGINT GENERATED ALWAYS AS IDENTITY,
    request_id TEXT NOT NULL, start_time DOUBLE PRECISION NOT NULL, end_time DOUBLE PRECISION NOT NULL,
    completion_start_time DOUBLE PRECISION NOT NULL, call_type TEXT NOT NULL, status TEXT NOT NULL,
    api_key TEXT COLLATE "C" NOT NULL, "user" TEXT COLLATE "C" NOT NULL, team_id TEXT COLLATE "C" NOT NULL,
    organization_id TEXT NOT NULL, end_user TEXT COLLATE "C" NOT NULL, model TEXT NOT NULL, model_id TEXT NOT NULL,
    model_group TEXT NOT NULL, custom_llm_provider TEXT NOT NULL, api_base TEXT NOT NULL, spend BIGINT NOT NULL,
    prompt_tokens BIGINT NOT NULL, completion_tokens BIGINT NOT NULL, cache_hit TEXT NOT NULL, cache_key TEXT NOT NULL,
    session_id TEXT NOT NULL, requester_ip_address TEXT NOT NULL, request_tags TEXT NOT NULL, metadata TEXT NOT NULL,
    payload TEXT NOT NULL
);
CREATE UNIQUE INDEX spend_logs_time ON spend_logs (start_time, number);
CREATE INDEX spend_logs_key ON spend_logs (api_key, start_time, number) WHERE api_key <> '';
CREATE INDEX spend_logs_user ON spend_logs (left("user", 40), start_time, number) WHERE "user" <> '';
CREATE INDEX spend_logs_team ON spend_logs (left(team_id, 40), start_time, number) WHERE team_id <> '';
CREATE INDEX spend_logs_end_user ON spend_logs (left(end_user, 40), start_time, number) WHERE end_user <> '';
CREATE INDEX spend_logs_request ON spend_logs USING hash (request_id);

-- By day first: folds and pages are about few days, whose rows so lie together. `whole` is a value that is too long to
-- be in a key. There is room beside rows that are added to all day long: then their indexes need not be told.
CREATE TABLE rollups (
    scope TEXT COLLATE "C" NOT NULL, value TEXT COLLATE "C" NOT NULL, day TEXT COLLATE "C" NOT NULL,
    requests BIGINT NOT NULL, failed BIGINT NOT NULL, input_tokens BIGINT NOT NULL, output_tokens BIGINT NOT NULL,
    spend BIGINT NOT NULL, whole TEXT COLLATE "C", PRIMARY KEY (scope, day, value)
) WITH (fillfactor = 70);
CREATE INDEX rollups_value ON rollups (scope, value, day);

CREATE TABLE positions (
    journal TEXT COLLATE "C" PRIMARY KEY, segment BIGINT NOT NULL, reached BIGINT NOT NULL
) WITH (fillfactor = 50);
