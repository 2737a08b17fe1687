-- tables that functions compute ---------------------------------------------

CREATE FUNCTION pm_stream_support(internal) RETURNS internal
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION pm_stream_support(internal) IS
	'Planner support of functions that give a row for each row of their source: how many there are, and a scan that does not store them first.';

