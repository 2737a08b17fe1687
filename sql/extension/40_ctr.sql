-- click models ----------------------------------------------------------------

CREATE FUNCTION pm_train_ctr(
	source regclass,
	label name,
	features name[] DEFAULT NULL,
	algorithm text DEFAULT 'logistic',
	options jsonb DEFAULT '{}'
) RETURNS bytea
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE PARALLEL UNSAFE COST 100000;
COMMENT ON FUNCTION pm_train_ctr(regclass, name, name[], text, jsonb) IS
	'Train a model of the probability that label is true: logistic, ftrl, fm or fwfm. features NULL takes every other column.';

CREATE FUNCTION pm_update_ctr(
	model bytea,
	source regclass,
	label name,
	options jsonb DEFAULT '{}'
) RETURNS bytea
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE PARALLEL UNSAFE COST 100000;
COMMENT ON FUNCTION pm_update_ctr(bytea, regclass, name, jsonb) IS
	'Train a click model further on new rows; new categories join it. Its columns are found by name.';

CREATE FUNCTION pm_update_ctr(
	model text,
	source regclass,
	label name,
	options jsonb DEFAULT '{}'
) RETURNS bytea
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE PARALLEL UNSAFE COST 100000;
COMMENT ON FUNCTION pm_update_ctr(text, regclass, name, jsonb) IS
	'Train the deployed click model of a name further on new rows.';

-- The aggregate has overloads rather than a default, as CREATE AGGREGATE has none.
CREATE FUNCTION pm_train_ctr_agg_transfn(internal, boolean, record) RETURNS internal
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL UNSAFE;
COMMENT ON FUNCTION pm_train_ctr_agg_transfn(internal, boolean, record) IS
	'Transition function of pm_train_ctr_agg.';

CREATE FUNCTION pm_train_ctr_agg_transfn(internal, boolean, record, jsonb) RETURNS internal
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL UNSAFE;
COMMENT ON FUNCTION pm_train_ctr_agg_transfn(internal, boolean, record, jsonb) IS
	'Transition function of pm_train_ctr_agg with options.';

CREATE FUNCTION pm_train_ctr_agg_finalfn(internal) RETURNS bytea
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL UNSAFE COST 100000;
COMMENT ON FUNCTION pm_train_ctr_agg_finalfn(internal) IS
	'Final function of pm_train_ctr_agg.';

CREATE AGGREGATE pm_train_ctr_agg(label boolean, features record) (
	SFUNC = pm_train_ctr_agg_transfn,
	STYPE = internal,
	FINALFUNC = pm_train_ctr_agg_finalfn,
	FINALFUNC_MODIFY = READ_WRITE
);
COMMENT ON AGGREGATE pm_train_ctr_agg(boolean, record) IS
	'Train a logistic click model on the rows of a query, one for each group.';

CREATE AGGREGATE pm_train_ctr_agg(label boolean, features record, options jsonb) (
	SFUNC = pm_train_ctr_agg_transfn,
	STYPE = internal,
	FINALFUNC = pm_train_ctr_agg_finalfn,
	FINALFUNC_MODIFY = READ_WRITE
);
COMMENT ON AGGREGATE pm_train_ctr_agg(boolean, record, jsonb) IS
	'Train a click model on the rows of a query, one for each group; the option "algorithm" chooses its kind.';

CREATE FUNCTION pm_predict_ctr(model bytea, features record) RETURNS float8
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION pm_predict_ctr(bytea, record) IS
	'The probability of a click; the row''s fields are matched by name. NULL where every feature is NULL.';

CREATE FUNCTION pm_predict_ctr(model text, features record) RETURNS float8
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION pm_predict_ctr(text, record) IS
	'The probability of a click by the deployed model of a name.';

CREATE FUNCTION pm_predict_ctr_rows(
	model bytea,
	source regclass,
	id_col name,
	OUT id text,
	OUT probability float8
) RETURNS SETOF record
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE PARALLEL UNSAFE COST 100000 ROWS 100000
	SUPPORT pm_stream_support;
COMMENT ON FUNCTION pm_predict_ctr_rows(bytea, regclass, name) IS
	'The probability of a click for each row of a relation, by a click model. Ids come as text.';

CREATE FUNCTION pm_predict_ctr_rows(
	model bytea,
	source regclass,
	id_col name,
	id_type bigint,
	OUT id bigint,
	OUT probability float8
) RETURNS SETOF record
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE PARALLEL UNSAFE COST 100000 ROWS 100000
	SUPPORT pm_stream_support;
COMMENT ON FUNCTION pm_predict_ctr_rows(bytea, regclass, name, bigint) IS
	'pm_predict_ctr_rows with bigint ids: id_type => NULL::bigint.';

CREATE FUNCTION pm_predict_ctr_rows(
	model bytea,
	source regclass,
	id_col name,
	id_type int,
	OUT id int,
	OUT probability float8
) RETURNS SETOF record
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE PARALLEL UNSAFE COST 100000 ROWS 100000
	SUPPORT pm_stream_support;
COMMENT ON FUNCTION pm_predict_ctr_rows(bytea, regclass, name, int) IS
	'pm_predict_ctr_rows with int ids: id_type => NULL::int.';

CREATE FUNCTION pm_predict_ctr_rows(
	model bytea,
	source regclass,
	id_col name,
	id_type uuid,
	OUT id uuid,
	OUT probability float8
) RETURNS SETOF record
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE PARALLEL UNSAFE COST 100000 ROWS 100000
	SUPPORT pm_stream_support;
COMMENT ON FUNCTION pm_predict_ctr_rows(bytea, regclass, name, uuid) IS
	'pm_predict_ctr_rows with uuid ids: id_type => NULL::uuid.';

CREATE FUNCTION pm_predict_ctr_rows(
	model text,
	source regclass,
	id_col name,
	OUT id text,
	OUT probability float8
) RETURNS SETOF record
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE PARALLEL UNSAFE COST 100000 ROWS 100000
	SUPPORT pm_stream_support;
COMMENT ON FUNCTION pm_predict_ctr_rows(text, regclass, name) IS
	'The probability of a click for each row of a relation, by the deployed click model of a name. Ids come as text.';

CREATE FUNCTION pm_predict_ctr_rows(
	model text,
	source regclass,
	id_col name,
	id_type bigint,
	OUT id bigint,
	OUT probability float8
) RETURNS SETOF record
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE PARALLEL UNSAFE COST 100000 ROWS 100000
	SUPPORT pm_stream_support;
COMMENT ON FUNCTION pm_predict_ctr_rows(text, regclass, name, bigint) IS
	'pm_predict_ctr_rows with bigint ids: id_type => NULL::bigint.';

CREATE FUNCTION pm_predict_ctr_rows(
	model text,
	source regclass,
	id_col name,
	id_type int,
	OUT id int,
	OUT probability float8
) RETURNS SETOF record
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE PARALLEL UNSAFE COST 100000 ROWS 100000
	SUPPORT pm_stream_support;
COMMENT ON FUNCTION pm_predict_ctr_rows(text, regclass, name, int) IS
	'pm_predict_ctr_rows with int ids: id_type => NULL::int.';

CREATE FUNCTION pm_predict_ctr_rows(
	model text,
	source regclass,
	id_col name,
	id_type uuid,
	OUT id uuid,
	OUT probability float8
) RETURNS SETOF record
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE PARALLEL UNSAFE COST 100000 ROWS 100000
	SUPPORT pm_stream_support;
COMMENT ON FUNCTION pm_predict_ctr_rows(text, regclass, name, uuid) IS
	'pm_predict_ctr_rows with uuid ids: id_type => NULL::uuid.';
