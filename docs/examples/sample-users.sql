-- 20,500 made-up users, for a stage to try things in. Copied into shared/postgres/migrations/ it is a migration like any other.
-- Few users have many followers, as in life: user 1 has 250,000, user 1,000 has 250, the last one 12.
INSERT INTO users (id, username, display_name, bio, follower_count)
SELECT id,
       lower(first) || '_' || lower(last) || '_' || id,
       first || ' ' || last,
       'Made up: sample user ' || id || '.',
       250000 / id
FROM generate_series(1, 20500) AS id
CROSS JOIN LATERAL (
  SELECT (ARRAY['Ada', 'Anna', 'Ben', 'Emma', 'Grace', 'Ines', 'Jonas', 'Kofi', 'Lena', 'Mateo', 'Noor', 'Priya'])[1 + id % 12],
         (ARRAY['Adler', 'Baker', 'Costa', 'Dubois', 'Eriksen', 'Fischer', 'Garcia', 'Hughes', 'Ito', 'Jansen', 'Kumar'])[1 + id % 11]
) AS names (first, last);

ANALYZE users;
