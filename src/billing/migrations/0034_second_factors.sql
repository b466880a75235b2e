-- The second factor of users who sign in by a password or a link: the codes of an authenticator (TOTP, RFC 6238).

CREATE TABLE second_factors (
    user_name TEXT NOT NULL PRIMARY KEY,
    -- In base32. It is shown to its user until a code has confirmed it, and then to nobody.
    secret TEXT NOT NULL,
    -- 0: no code has confirmed it yet, and none is asked for.
    confirmed_at BIGINT NOT NULL DEFAULT 0,
    -- The last step of time whose code was taken: a code is taken once.
    last_step BIGINT NOT NULL DEFAULT 0
);

-- What signs in, once each, in the place of a code.
CREATE TABLE recovery_codes (
    user_name TEXT NOT NULL,
    digest TEXT NOT NULL,
    PRIMARY KEY (user_name, digest)
);

-- How it began: password, link.
ALTER TABLE sessions ADD COLUMN way TEXT NOT NULL DEFAULT 'password';

-- Of whom the code of the second factor is still to come: they have not signed in yet.
CREATE TABLE unfinished_sign_ins (
    digest TEXT NOT NULL PRIMARY KEY,
    user_name TEXT NOT NULL,
    way TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);
