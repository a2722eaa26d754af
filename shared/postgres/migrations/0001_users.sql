-- The users that the API serves. bigint: ids outlive an int.
CREATE TABLE users (
  id             bigint PRIMARY KEY,
  username       text NOT NULL UNIQUE,
  display_name   text NOT NULL,
  bio            text NOT NULL DEFAULT '',
  avatar_url     text NOT NULL DEFAULT '',
  location       text NOT NULL DEFAULT '',
  follower_count integer NOT NULL DEFAULT 0 CHECK (follower_count >= 0),
  created_at     timestamptz NOT NULL DEFAULT now(),
  updated_at     timestamptz NOT NULL DEFAULT now()
);

-- The warmer's ranking while nobody has read anything yet, and the order of search results.
CREATE INDEX users_by_followers ON users (follower_count DESC, id);
