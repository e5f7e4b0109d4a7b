-- roomcast_emit: emits an event to sockets, wherever they are, from a transaction of any SQL client. The sockets get it if and
-- only if the transaction commits, in the order of commits. Run it as a role that may create functions in the schema where
-- the function is to live (the first of the search_path); running it again is harmless. No superuser is needed.
--
--   SELECT roomcast_emit('/chat', ARRAY['room'], 'news', '{"title": "we open at nine"}');
--
-- rooms: NULL is everyone in the namespace, an empty array is nobody.
-- data: the event's argument; NULL is none (a JSON null is 'null').
-- cluster: the name that the nodes have; 'roomcast' is theirs and this function's default.
--
-- It has no BEGIN and COMMIT, for tools that run it within a transaction of theirs; with psql: psql -1 -f.

-- Two of these at the same time would meet in the catalogue.
SELECT pg_catalog.pg_advisory_xact_lock(7813572840218);

CREATE OR REPLACE FUNCTION roomcast_emit(
    namespace text, rooms text[], event text, data jsonb DEFAULT NULL, cluster text DEFAULT 'roomcast'
-- A path of its own: functions of others in the caller's would run with the caller's rights.
) RETURNS void LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = pg_catalog, pg_temp AS $roomcast$
DECLARE
    label text := cluster;
    digest bytea;
    message text;
    bytes bytea;
    -- Equal notifications of one transaction would be delivered as one.
    id text := replace(gen_random_uuid()::text, '-', '');
    -- Each is 7,900 characters of base64 at most: a notification takes less than 8,000 bytes.
    piece constant int := 5900;
    parts int;
BEGIN
    IF namespace IS NULL OR octet_length(convert_to(namespace, 'UTF8')) NOT BETWEEN 1 AND 1024 THEN
        RAISE EXCEPTION 'roomcast_emit: the namespace must have 1 to 1024 bytes'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'The default namespace is ''/''.';
    END IF;
    IF event IS NULL OR octet_length(convert_to(event, 'UTF8')) NOT BETWEEN 1 AND 1024 THEN
        RAISE EXCEPTION 'roomcast_emit: the event''s name must have 1 to 1024 bytes'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF cluster IS NULL OR octet_length(convert_to(cluster, 'UTF8')) NOT BETWEEN 1 AND 1024 THEN
        RAISE EXCEPTION 'roomcast_emit: the cluster''s name must have 1 to 1024 bytes'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Nodes without a name of their own are ''roomcast''.';
    END IF;
    IF EXISTS (
        SELECT FROM unnest(rooms) AS room
        WHERE room IS NULL OR octet_length(convert_to(room, 'UTF8')) NOT BETWEEN 1 AND 1024
    ) THEN
        RAISE EXCEPTION 'roomcast_emit: each room must have 1 to 1024 bytes'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Everyone is NULL instead of an array.';
    END IF;
    IF cardinality(rooms) = 0 THEN
        RETURN;
    END IF;
    -- The label of the cluster in the names of its channels: PROTOCOL.md, Channels.
    IF cluster !~ '^[A-Za-z0-9_-]{1,20}$' THEN
        digest := sha256(convert_to(cluster, 'UTF8'));
        SELECT string_agg(substr('abcdefghijklmnopqrstuvwxyz234567', 1 + letter, 1), '' ORDER BY place) INTO label
        FROM (
            SELECT place, sum(get_bit(digest, bit / 8 * 8 + 7 - bit % 8) << (4 - bit % 5))::int AS letter
            FROM generate_series(0, 119) AS bit, LATERAL (SELECT bit / 5 AS place) AS places
            GROUP BY place
        ) AS letters;
    END IF;
    message := jsonb_build_object('namespace', namespace, 'rooms', to_jsonb(rooms))::text || E'\n' ||
        CASE WHEN data IS NULL THEN jsonb_build_array(event) ELSE jsonb_build_array(event, data) END::text;
    -- At most four bytes for a character, in whatever encoding.
    bytes := convert_to(message, 'UTF8');
    IF octet_length(bytes) <= 1900 OR octet_length(bytes) <= 7900 AND octet_length(bytes) = char_length(message) THEN
        PERFORM pg_notify('rc.' || label || '.all', 'E' || id || E'\n' || message);
        RETURN;
    END IF;
    IF octet_length(bytes) > 16777216 THEN
        RAISE EXCEPTION 'roomcast_emit: a message of % bytes is too large', octet_length(bytes)
            USING ERRCODE = 'program_limit_exceeded', HINT = 'Nodes take 16 MiB; emit where the data is to be had instead.';
    END IF;
    parts := (octet_length(bytes) + piece - 1) / piece;
    FOR part IN 0..parts - 1 LOOP
        PERFORM pg_notify('rc.' || label || '.all', 'P' || id || E'\n' || part || E'\n' || parts || E'\n' ||
            translate(encode(substring(bytes FROM part * piece + 1 FOR piece), 'base64'), E'\n', ''));
    END LOOP;
END
$roomcast$;
