-- What people read, as the last warm-up knew it: for a Redis that has lost everything. One row a dataset, written every 30 minutes.
CREATE TABLE prewarm_popularity (
  dataset  text PRIMARY KEY,
  keys     text[] NOT NULL,
  -- In the order of the keys, as Redis has them.
  scores   double precision[] NOT NULL,
  saved_at timestamptz NOT NULL
);
