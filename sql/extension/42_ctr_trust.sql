-- click models: trust and reasons ------------------------------------------------

CREATE FUNCTION pm_evaluate_ctr(
	model bytea,
	source regclass,
	label name,
	options jsonb DEFAULT '{}',
	OUT metric text,
	OUT value float8
) RETURNS SETOF record
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE PARALLEL UNSAFE COST 100000 ROWS 16;
COMMENT ON FUNCTION pm_evaluate_ctr(bytea, regclass, name, jsonb) IS
	'How good a click model is on the rows of a relation: AUC, log loss, calibration and more, one row a metric.';

CREATE FUNCTION pm_model_weights(
	model bytea,
	OUT feature text,
	OUT category text,
	OUT coefficient float8,
	OUT std_err float8,
	OUT z_value float8,
	OUT p_value float8,
	OUT odds_ratio float8
) RETURNS SETOF record
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE ROWS 100;
COMMENT ON FUNCTION pm_model_weights(bytea) IS
	'The coefficients of a click model, in the columns'' own units; of fm and fwfm the linear terms.';

CREATE FUNCTION pm_explain_ctr(
	model bytea,
	features record,
	top int DEFAULT 10,
	OUT feature text,
	OUT value text,
	OUT contribution float8
) RETURNS SETOF record
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE ROWS 12;
COMMENT ON FUNCTION pm_explain_ctr(bytea, record, int) IS
	'What each feature of a row adds to the log odds that a click model gives it; all rows together are those log odds.';

CREATE FUNCTION pm_training_log(
	model bytea,
	OUT epoch int,
	OUT loss float8,
	OUT eval_loss float8,
	OUT eval_auc float8,
	OUT seconds float8
) RETURNS SETOF record
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE ROWS 20;
COMMENT ON FUNCTION pm_training_log(bytea) IS
	'The course of the training of a click model: mean log loss of an epoch or iteration, and on held-out rows.';

CREATE FUNCTION pm_evaluate_ctr(
	model text,
	source regclass,
	label name,
	options jsonb DEFAULT '{}',
	OUT metric text,
	OUT value float8
) RETURNS SETOF record
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE PARALLEL UNSAFE COST 100000 ROWS 16;
COMMENT ON FUNCTION pm_evaluate_ctr(text, regclass, name, jsonb) IS
	'How good the deployed click model of a name is on the rows of a relation: AUC, log loss, calibration and more, one row a metric.';

CREATE FUNCTION pm_model_weights(
	model text,
	OUT feature text,
	OUT category text,
	OUT coefficient float8,
	OUT std_err float8,
	OUT z_value float8,
	OUT p_value float8,
	OUT odds_ratio float8
) RETURNS SETOF record
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE STRICT PARALLEL SAFE ROWS 100;
COMMENT ON FUNCTION pm_model_weights(text) IS
	'The coefficients of the deployed click model of a name, in the columns'' own units; of fm and fwfm the linear terms.';

CREATE FUNCTION pm_explain_ctr(
	model text,
	features record,
	top int DEFAULT 10,
	OUT feature text,
	OUT value text,
	OUT contribution float8
) RETURNS SETOF record
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE STRICT PARALLEL SAFE ROWS 12;
COMMENT ON FUNCTION pm_explain_ctr(text, record, int) IS
	'What each feature of a row adds to the log odds that the deployed click model of a name gives it; all rows together are those log odds.';

CREATE FUNCTION pm_training_log(
	model text,
	OUT epoch int,
	OUT loss float8,
	OUT eval_loss float8,
	OUT eval_auc float8,
	OUT seconds float8
) RETURNS SETOF record
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE STRICT PARALLEL SAFE ROWS 20;
COMMENT ON FUNCTION pm_training_log(text) IS
	'The course of the training of the deployed click model of a name: mean log loss of an epoch or iteration, and on held-out rows.';
