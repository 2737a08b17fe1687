-- segments: k-means --------------------------------------------------------

CREATE FUNCTION pm_kmeans(
	source regclass,
	features name[] DEFAULT NULL,
	k int DEFAULT NULL,
	options jsonb DEFAULT '{}'
) RETURNS bytea
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE PARALLEL UNSAFE COST 100000;
COMMENT ON FUNCTION pm_kmeans(regclass, name[], int, jsonb) IS
	'Train a k-means model on the rows of a relation. features NULL takes every column; k NULL chooses k by silhouette.';

CREATE FUNCTION pm_kmeans_sweep(
	source regclass,
	features name[] DEFAULT NULL,
	k_min int DEFAULT 2,
	k_max int DEFAULT 10,
	options jsonb DEFAULT '{}',
	OUT k int,
	OUT inertia float8,
	OUT silhouette float8,
	OUT davies_bouldin float8,
	OUT calinski_harabasz float8
) RETURNS SETOF record
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE PARALLEL UNSAFE COST 100000 ROWS 9;
COMMENT ON FUNCTION pm_kmeans_sweep(regclass, name[], int, int, jsonb) IS
	'Quality of k-means for every k from k_min to k_max, to choose k by: high silhouette and calinski_harabasz, low davies_bouldin.';

CREATE FUNCTION pm_segment(
	source regclass,
	id_col name,
	features name[] DEFAULT NULL,
	k int DEFAULT NULL,
	options jsonb DEFAULT '{}',
	OUT id text,
	OUT cluster int,
	OUT distance float8
) RETURNS SETOF record
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE PARALLEL UNSAFE COST 100000 ROWS 100000
	SUPPORT pm_stream_support;
COMMENT ON FUNCTION pm_segment(regclass, name, name[], int, jsonb) IS
	'Cluster the rows of a relation and give each row''s cluster: pm_kmeans and pm_kmeans_assign in one call. Ids come as text.';

-- Ids of the caller's type. The last argument has no default, and so none has:
-- with defaults a call without id_type would fit several of these.
CREATE FUNCTION pm_segment(
	source regclass,
	id_col name,
	features name[],
	k int,
	options jsonb,
	id_type bigint,
	OUT id bigint,
	OUT cluster int,
	OUT distance float8
) RETURNS SETOF record
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE PARALLEL UNSAFE COST 100000 ROWS 100000
	SUPPORT pm_stream_support;
COMMENT ON FUNCTION pm_segment(regclass, name, name[], int, jsonb, bigint) IS
	'pm_segment with bigint ids: id_type => NULL::bigint. Every argument has to be given.';

CREATE FUNCTION pm_segment(
	source regclass,
	id_col name,
	features name[],
	k int,
	options jsonb,
	id_type int,
	OUT id int,
	OUT cluster int,
	OUT distance float8
) RETURNS SETOF record
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE PARALLEL UNSAFE COST 100000 ROWS 100000
	SUPPORT pm_stream_support;
COMMENT ON FUNCTION pm_segment(regclass, name, name[], int, jsonb, int) IS
	'pm_segment with int ids: id_type => NULL::int. Every argument has to be given.';

CREATE FUNCTION pm_segment(
	source regclass,
	id_col name,
	features name[],
	k int,
	options jsonb,
	id_type uuid,
	OUT id uuid,
	OUT cluster int,
	OUT distance float8
) RETURNS SETOF record
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE PARALLEL UNSAFE COST 100000 ROWS 100000
	SUPPORT pm_stream_support;
COMMENT ON FUNCTION pm_segment(regclass, name, name[], int, jsonb, uuid) IS
	'pm_segment with uuid ids: id_type => NULL::uuid. Every argument has to be given.';

CREATE FUNCTION pm_kmeans_assign(model bytea, features record) RETURNS int
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION pm_kmeans_assign(bytea, record) IS
	'The cluster, 1 to k, that a row is nearest to; its fields are matched by name. NULL where every feature is NULL.';

CREATE FUNCTION pm_kmeans_assign(model text, features record) RETURNS int
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION pm_kmeans_assign(text, record) IS
	'The cluster of a row by the deployed model of a name.';

CREATE FUNCTION pm_kmeans_distance(model bytea, features record) RETURNS float8
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION pm_kmeans_distance(bytea, record) IS
	'The distance of a row from the centroid of its cluster, in scaled features; 1 - cosine for the cosine metric.';

CREATE FUNCTION pm_kmeans_distance(model text, features record) RETURNS float8
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION pm_kmeans_distance(text, record) IS
	'The distance of a row from the centroid of its cluster by the deployed model of a name.';

CREATE FUNCTION pm_kmeans_centroids(
	model bytea,
	OUT cluster int,
	OUT feature text,
	OUT value float8,
	OUT size bigint,
	OUT radius float8
) RETURNS SETOF record
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE ROWS 100;
COMMENT ON FUNCTION pm_kmeans_centroids(bytea) IS
	'The centre of each cluster in the features'' own units, a category as its share; size in rows, radius as root mean squared distance.';

CREATE FUNCTION pm_kmeans_centroids(
	model text,
	OUT cluster int,
	OUT feature text,
	OUT value float8,
	OUT size bigint,
	OUT radius float8
) RETURNS SETOF record
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE STRICT PARALLEL SAFE ROWS 100;
COMMENT ON FUNCTION pm_kmeans_centroids(text) IS
	'The centre of each cluster of the deployed model of a name.';

CREATE FUNCTION pm_kmeans_evaluate(model bytea, OUT metric text, OUT value float8)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE ROWS 6;
COMMENT ON FUNCTION pm_kmeans_evaluate(bytea) IS
	'Quality of a k-means model on its training rows: inertia, simplified silhouette, Davies-Bouldin, Calinski-Harabasz, iterations, converged.';

CREATE FUNCTION pm_kmeans_evaluate(model text, OUT metric text, OUT value float8)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE STRICT PARALLEL SAFE ROWS 6;
COMMENT ON FUNCTION pm_kmeans_evaluate(text) IS
	'Quality of the deployed k-means model of a name.';

CREATE FUNCTION pm_kmeans_agg_transfn(internal, record) RETURNS internal
	AS 'MODULE_PATHNAME' LANGUAGE C PARALLEL RESTRICTED;
COMMENT ON FUNCTION pm_kmeans_agg_transfn(internal, record) IS
	'Transition function of pm_kmeans_agg.';

CREATE FUNCTION pm_kmeans_agg_transfn(internal, record, jsonb) RETURNS internal
	AS 'MODULE_PATHNAME' LANGUAGE C PARALLEL RESTRICTED;
COMMENT ON FUNCTION pm_kmeans_agg_transfn(internal, record, jsonb) IS
	'Transition function of pm_kmeans_agg.';

CREATE FUNCTION pm_kmeans_agg_finalfn(internal) RETURNS bytea
	AS 'MODULE_PATHNAME' LANGUAGE C PARALLEL RESTRICTED COST 100000;
COMMENT ON FUNCTION pm_kmeans_agg_finalfn(internal) IS
	'Final function of pm_kmeans_agg.';

CREATE AGGREGATE pm_kmeans_agg(features record) (
	SFUNC = pm_kmeans_agg_transfn,
	STYPE = internal,
	FINALFUNC = pm_kmeans_agg_finalfn,
	FINALFUNC_MODIFY = READ_WRITE,
	PARALLEL = RESTRICTED
);
COMMENT ON AGGREGATE pm_kmeans_agg(record) IS
	'Train a k-means model on the rows of a query, one model a group. The record''s fields are the features; k is chosen by silhouette.';

CREATE AGGREGATE pm_kmeans_agg(features record, options jsonb) (
	SFUNC = pm_kmeans_agg_transfn,
	STYPE = internal,
	FINALFUNC = pm_kmeans_agg_finalfn,
	FINALFUNC_MODIFY = READ_WRITE,
	PARALLEL = RESTRICTED
);
COMMENT ON AGGREGATE pm_kmeans_agg(record, jsonb) IS
	'Train a k-means model on the rows of a query, one model a group. Options as for pm_kmeans, with k and exclude among them.';

