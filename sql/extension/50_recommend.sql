-- what to show next and who behaves alike: neighbours ------------------------

CREATE FUNCTION pm_similar_users(
	source regclass,
	user_id anyelement,
	k int DEFAULT 10,
	user_col name DEFAULT 'user_id',
	item_col name DEFAULT 'item_id',
	weight_col name DEFAULT NULL,
	metric text DEFAULT 'cosine',
	options jsonb DEFAULT '{}',
	OUT user_id anyelement,
	OUT similarity float8,
	OUT common_items bigint,
	OUT rank int
) RETURNS SETOF record
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE PARALLEL UNSAFE COST 10000 ROWS 10;
COMMENT ON FUNCTION pm_similar_users(regclass, anyelement, int, name, name, name, text, jsonb) IS
	'The k users most like one, by the items that they have in common, straight from a table of events.';

CREATE FUNCTION pm_similar_items(
	source regclass,
	item_id anyelement,
	k int DEFAULT 10,
	user_col name DEFAULT 'user_id',
	item_col name DEFAULT 'item_id',
	weight_col name DEFAULT NULL,
	metric text DEFAULT 'cosine',
	options jsonb DEFAULT '{}',
	OUT item_id anyelement,
	OUT similarity float8,
	OUT common_users bigint,
	OUT rank int
) RETURNS SETOF record
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE PARALLEL UNSAFE COST 10000 ROWS 10;
COMMENT ON FUNCTION pm_similar_items(regclass, anyelement, int, name, name, name, text, jsonb) IS
	'The k items most like one, by the users that they have in common, straight from a table of events.';

CREATE FUNCTION pm_neighbours_all(
	source regclass,
	side text DEFAULT 'item',
	k int DEFAULT 10,
	user_col name DEFAULT 'user_id',
	item_col name DEFAULT 'item_id',
	weight_col name DEFAULT NULL,
	metric text DEFAULT 'cosine',
	options jsonb DEFAULT '{}',
	OUT id text,
	OUT neighbour_id text,
	OUT similarity float8,
	OUT common bigint,
	OUT rank int
) RETURNS SETOF record
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE PARALLEL UNSAFE COST 100000 ROWS 100000
	SUPPORT pm_stream_support;
COMMENT ON FUNCTION pm_neighbours_all(regclass, text, int, name, name, name, text, jsonb) IS
	'The k nearest neighbours of every user or item (side) of a table of events. Ids come as text.';

-- Ids of the caller's type. The last argument has no default, and so none has:
-- with defaults a call without id_type would fit several of these.
CREATE FUNCTION pm_neighbours_all(
	source regclass,
	side text,
	k int,
	user_col name,
	item_col name,
	weight_col name,
	metric text,
	options jsonb,
	id_type bigint,
	OUT id bigint,
	OUT neighbour_id bigint,
	OUT similarity float8,
	OUT common bigint,
	OUT rank int
) RETURNS SETOF record
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE PARALLEL UNSAFE COST 100000 ROWS 100000
	SUPPORT pm_stream_support;
COMMENT ON FUNCTION pm_neighbours_all(regclass, text, int, name, name, name, text, jsonb, bigint) IS
	'pm_neighbours_all with bigint ids: id_type => NULL::bigint. Every argument has to be given.';

CREATE FUNCTION pm_neighbours_all(
	source regclass,
	side text,
	k int,
	user_col name,
	item_col name,
	weight_col name,
	metric text,
	options jsonb,
	id_type int,
	OUT id int,
	OUT neighbour_id int,
	OUT similarity float8,
	OUT common bigint,
	OUT rank int
) RETURNS SETOF record
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE PARALLEL UNSAFE COST 100000 ROWS 100000
	SUPPORT pm_stream_support;
COMMENT ON FUNCTION pm_neighbours_all(regclass, text, int, name, name, name, text, jsonb, int) IS
	'pm_neighbours_all with int ids: id_type => NULL::int. Every argument has to be given.';

CREATE FUNCTION pm_neighbours_all(
	source regclass,
	side text,
	k int,
	user_col name,
	item_col name,
	weight_col name,
	metric text,
	options jsonb,
	id_type uuid,
	OUT id uuid,
	OUT neighbour_id uuid,
	OUT similarity float8,
	OUT common bigint,
	OUT rank int
) RETURNS SETOF record
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE PARALLEL UNSAFE COST 100000 ROWS 100000
	SUPPORT pm_stream_support;
COMMENT ON FUNCTION pm_neighbours_all(regclass, text, int, name, name, name, text, jsonb, uuid) IS
	'pm_neighbours_all with uuid ids: id_type => NULL::uuid. Every argument has to be given.';
