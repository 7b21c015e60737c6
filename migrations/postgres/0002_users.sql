-- People who may sign in. A password is kept as an Argon2id hash, a token as its SHA-256.
CREATE TABLE users (
    id            text COLLATE "C" PRIMARY KEY,
    name          text NOT NULL,
    email_address text NOT NULL,
    -- The address in lower case: one person has one account.
    email_key     text COLLATE "C" NOT NULL CONSTRAINT users_email_key_key UNIQUE,
    role          text COLLATE "C" NOT NULL CHECK (role IN ('administrator', 'regular')),
    password_hash text,
    created_at    text NOT NULL,
    updated_at    text
);
CREATE TABLE tokens (
    digest     text COLLATE "C" PRIMARY KEY,
    user_id    text COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at text NOT NULL,
    -- Milliseconds since 1970.
    expires_at bigint NOT NULL
);
CREATE INDEX tokens_user ON tokens (user_id);
CREATE INDEX tokens_expiry ON tokens (expires_at);
