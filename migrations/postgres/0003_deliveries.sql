-- Calls that are owed to plugins: events for their post hooks, jobs, and schedules whose time has come.
-- A row is written in the transaction of whatever causes it and removed once the call has succeeded.
CREATE TABLE deliveries (
    seq          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id           text COLLATE "C" NOT NULL UNIQUE,
    kind         text COLLATE "C" NOT NULL CHECK (kind IN ('event', 'job', 'schedule')),
    plugin_id    text COLLATE "C" NOT NULL,
    name         text COLLATE "C" NOT NULL,
    handler      text COLLATE "C" NOT NULL,
    payload      text NOT NULL,
    ordering_key text COLLATE "C",
    unique_key   text COLLATE "C",
    depth        bigint NOT NULL,
    state        text COLLATE "C" NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'running', 'dead')),
    attempt      bigint NOT NULL DEFAULT 0,
    max_attempts bigint NOT NULL,
    due_at       bigint NOT NULL,
    owner        text COLLATE "C",
    lease_until  bigint,
    last_error   text,
    emitted_at   text NOT NULL
);
CREATE INDEX deliveries_due ON deliveries (state, due_at, seq);
CREATE INDEX deliveries_order ON deliveries (plugin_id, handler, ordering_key, seq)
    WHERE ordering_key IS NOT NULL;
-- Work that is asked for twice is done once.
CREATE UNIQUE INDEX deliveries_unique ON deliveries (plugin_id, kind, name, unique_key)
    WHERE unique_key IS NOT NULL AND state <> 'dead';

-- When the schedules of active plugins are to run next, in milliseconds since 1970.
CREATE TABLE schedules (
    id        text COLLATE "C" PRIMARY KEY,
    plugin_id text COLLATE "C" NOT NULL,
    next_at   bigint NOT NULL
);
