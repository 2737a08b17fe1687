-- metrics: how good are predictions of a yes or no --------------------------

CREATE FUNCTION pm_auc_agg_transfn(internal, boolean, float8) RETURNS internal
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION pm_auc_agg_transfn(internal, boolean, float8) IS
	'Transition function of pm_auc_agg.';

CREATE FUNCTION pm_auc_agg_transfn(internal, boolean, float8, float8) RETURNS internal
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION pm_auc_agg_transfn(internal, boolean, float8, float8) IS
	'Transition function of pm_auc_agg.';

CREATE FUNCTION pm_auc_agg_combinefn(internal, internal) RETURNS internal
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION pm_auc_agg_combinefn(internal, internal) IS
	'Combine function of pm_auc_agg and pm_binary_metrics_agg.';

CREATE FUNCTION pm_auc_agg_serialfn(internal) RETURNS bytea
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION pm_auc_agg_serialfn(internal) IS
	'Serial function of pm_auc_agg and pm_binary_metrics_agg.';

CREATE FUNCTION pm_auc_agg_deserialfn(bytea, internal) RETURNS internal
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION pm_auc_agg_deserialfn(bytea, internal) IS
	'Deserial function of pm_auc_agg and pm_binary_metrics_agg.';

CREATE FUNCTION pm_auc_agg_finalfn(internal) RETURNS float8
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE COST 1000;
COMMENT ON FUNCTION pm_auc_agg_finalfn(internal) IS
	'Final function of pm_auc_agg.';

CREATE AGGREGATE pm_auc_agg(label boolean, prediction float8) (
	SFUNC = pm_auc_agg_transfn,
	STYPE = internal,
	COMBINEFUNC = pm_auc_agg_combinefn,
	SERIALFUNC = pm_auc_agg_serialfn,
	DESERIALFUNC = pm_auc_agg_deserialfn,
	FINALFUNC = pm_auc_agg_finalfn,
	FINALFUNC_MODIFY = READ_ONLY,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE pm_auc_agg(boolean, float8) IS
	'Area under the ROC curve: the chance that a row of label true is predicted higher than one of label false, ties counting half.';

CREATE AGGREGATE pm_auc_agg(label boolean, prediction float8, weight float8) (
	SFUNC = pm_auc_agg_transfn,
	STYPE = internal,
	COMBINEFUNC = pm_auc_agg_combinefn,
	SERIALFUNC = pm_auc_agg_serialfn,
	DESERIALFUNC = pm_auc_agg_deserialfn,
	FINALFUNC = pm_auc_agg_finalfn,
	FINALFUNC_MODIFY = READ_ONLY,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE pm_auc_agg(boolean, float8, float8) IS
	'Area under the ROC curve of weighted rows.';

CREATE FUNCTION pm_log_loss_agg_transfn(internal, boolean, float8) RETURNS internal
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION pm_log_loss_agg_transfn(internal, boolean, float8) IS
	'Transition function of pm_log_loss_agg.';

CREATE FUNCTION pm_log_loss_agg_transfn(internal, boolean, float8, float8) RETURNS internal
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION pm_log_loss_agg_transfn(internal, boolean, float8, float8) IS
	'Transition function of pm_log_loss_agg.';

CREATE FUNCTION pm_log_loss_agg_combinefn(internal, internal) RETURNS internal
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION pm_log_loss_agg_combinefn(internal, internal) IS
	'Combine function of pm_log_loss_agg.';

CREATE FUNCTION pm_log_loss_agg_serialfn(internal) RETURNS bytea
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION pm_log_loss_agg_serialfn(internal) IS
	'Serial function of pm_log_loss_agg.';

CREATE FUNCTION pm_log_loss_agg_deserialfn(bytea, internal) RETURNS internal
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION pm_log_loss_agg_deserialfn(bytea, internal) IS
	'Deserial function of pm_log_loss_agg.';

CREATE FUNCTION pm_log_loss_agg_finalfn(internal) RETURNS float8
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION pm_log_loss_agg_finalfn(internal) IS
	'Final function of pm_log_loss_agg.';

CREATE AGGREGATE pm_log_loss_agg(label boolean, prediction float8) (
	SFUNC = pm_log_loss_agg_transfn,
	STYPE = internal,
	SSPACE = 64,
	COMBINEFUNC = pm_log_loss_agg_combinefn,
	SERIALFUNC = pm_log_loss_agg_serialfn,
	DESERIALFUNC = pm_log_loss_agg_deserialfn,
	FINALFUNC = pm_log_loss_agg_finalfn,
	FINALFUNC_MODIFY = READ_ONLY,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE pm_log_loss_agg(boolean, float8) IS
	'Mean log loss (cross entropy, in nats) of probabilities.';

CREATE AGGREGATE pm_log_loss_agg(label boolean, prediction float8, weight float8) (
	SFUNC = pm_log_loss_agg_transfn,
	STYPE = internal,
	SSPACE = 64,
	COMBINEFUNC = pm_log_loss_agg_combinefn,
	SERIALFUNC = pm_log_loss_agg_serialfn,
	DESERIALFUNC = pm_log_loss_agg_deserialfn,
	FINALFUNC = pm_log_loss_agg_finalfn,
	FINALFUNC_MODIFY = READ_ONLY,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE pm_log_loss_agg(boolean, float8, float8) IS
	'Mean log loss of weighted rows.';

CREATE TYPE pm_binary_metrics AS (
	n bigint,
	base_rate float8,
	mean_prediction float8,
	auc float8,
	log_loss float8,
	normalized_entropy float8,
	brier float8,
	ece float8,
	accuracy float8,
	"precision" float8,
	recall float8,
	f1 float8
);
COMMENT ON TYPE pm_binary_metrics IS
	'How good probabilities are: the result of pm_binary_metrics_agg. What is not defined is NULL.';
COMMENT ON COLUMN pm_binary_metrics.n IS 'Rows that counted.';
COMMENT ON COLUMN pm_binary_metrics.base_rate IS 'Share of label true.';
COMMENT ON COLUMN pm_binary_metrics.mean_prediction IS 'Mean probability; equal to base_rate when calibrated.';
COMMENT ON COLUMN pm_binary_metrics.auc IS 'Area under the ROC curve.';
COMMENT ON COLUMN pm_binary_metrics.log_loss IS 'Mean log loss.';
COMMENT ON COLUMN pm_binary_metrics.normalized_entropy IS 'Log loss over that of predicting base_rate for every row.';
COMMENT ON COLUMN pm_binary_metrics.brier IS 'Mean squared difference of probability and label.';
COMMENT ON COLUMN pm_binary_metrics.ece IS 'Expected calibration error over 10 bins of equal width.';
COMMENT ON COLUMN pm_binary_metrics.accuracy IS 'Share of rows on the right side of the threshold.';
COMMENT ON COLUMN pm_binary_metrics."precision" IS 'Share of label true at or above the threshold.';
COMMENT ON COLUMN pm_binary_metrics.recall IS 'Share of the rows of label true that are at or above the threshold.';
COMMENT ON COLUMN pm_binary_metrics.f1 IS 'Harmonic mean of precision and recall.';

CREATE FUNCTION pm_binary_metrics_agg_transfn(internal, boolean, float8) RETURNS internal
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION pm_binary_metrics_agg_transfn(internal, boolean, float8) IS
	'Transition function of pm_binary_metrics_agg.';

CREATE FUNCTION pm_binary_metrics_agg_transfn(internal, boolean, float8, float8) RETURNS internal
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION pm_binary_metrics_agg_transfn(internal, boolean, float8, float8) IS
	'Transition function of pm_binary_metrics_agg.';

CREATE FUNCTION pm_binary_metrics_agg_transfn(internal, boolean, float8, float8, float8) RETURNS internal
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION pm_binary_metrics_agg_transfn(internal, boolean, float8, float8, float8) IS
	'Transition function of pm_binary_metrics_agg.';

CREATE FUNCTION pm_binary_metrics_agg_finalfn(internal) RETURNS pm_binary_metrics
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE PARALLEL SAFE COST 1000;
COMMENT ON FUNCTION pm_binary_metrics_agg_finalfn(internal) IS
	'Final function of pm_binary_metrics_agg.';

CREATE AGGREGATE pm_binary_metrics_agg(label boolean, prediction float8) (
	SFUNC = pm_binary_metrics_agg_transfn,
	STYPE = internal,
	COMBINEFUNC = pm_auc_agg_combinefn,
	SERIALFUNC = pm_auc_agg_serialfn,
	DESERIALFUNC = pm_auc_agg_deserialfn,
	FINALFUNC = pm_binary_metrics_agg_finalfn,
	FINALFUNC_MODIFY = READ_ONLY,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE pm_binary_metrics_agg(boolean, float8) IS
	'Every measure of probabilities in one pass, with 0.5 as threshold.';

CREATE AGGREGATE pm_binary_metrics_agg(label boolean, prediction float8, threshold float8) (
	SFUNC = pm_binary_metrics_agg_transfn,
	STYPE = internal,
	COMBINEFUNC = pm_auc_agg_combinefn,
	SERIALFUNC = pm_auc_agg_serialfn,
	DESERIALFUNC = pm_auc_agg_deserialfn,
	FINALFUNC = pm_binary_metrics_agg_finalfn,
	FINALFUNC_MODIFY = READ_ONLY,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE pm_binary_metrics_agg(boolean, float8, float8) IS
	'Every measure of probabilities in one pass; the threshold must be the same in every row.';

CREATE AGGREGATE pm_binary_metrics_agg(label boolean, prediction float8, threshold float8, weight float8) (
	SFUNC = pm_binary_metrics_agg_transfn,
	STYPE = internal,
	COMBINEFUNC = pm_auc_agg_combinefn,
	SERIALFUNC = pm_auc_agg_serialfn,
	DESERIALFUNC = pm_auc_agg_deserialfn,
	FINALFUNC = pm_binary_metrics_agg_finalfn,
	FINALFUNC_MODIFY = READ_ONLY,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE pm_binary_metrics_agg(boolean, float8, float8, float8) IS
	'Every measure of probabilities of weighted rows in one pass.';

CREATE FUNCTION pm_roc(
	source regclass,
	label name,
	prediction name,
	options jsonb DEFAULT '{}',
	OUT threshold float8,
	OUT false_positive_rate float8,
	OUT true_positive_rate float8
) RETURNS SETOF record
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE PARALLEL UNSAFE COST 100000 ROWS 1000;
COMMENT ON FUNCTION pm_roc(regclass, name, name, jsonb) IS
	'The ROC curve of a column of predictions: its corners, from the highest threshold down.';

CREATE FUNCTION pm_pr_curve(
	source regclass,
	label name,
	prediction name,
	options jsonb DEFAULT '{}',
	OUT threshold float8,
	OUT recall float8,
	OUT "precision" float8
) RETURNS SETOF record
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE PARALLEL UNSAFE COST 100000 ROWS 1000;
COMMENT ON FUNCTION pm_pr_curve(regclass, name, name, jsonb) IS
	'Precision and recall of a column of predictions at every threshold, from the highest down.';

CREATE FUNCTION pm_lift(
	source regclass,
	label name,
	prediction name,
	bins int DEFAULT 10,
	options jsonb DEFAULT '{}',
	OUT bin int,
	OUT n bigint,
	OUT min_prediction float8,
	OUT mean_prediction float8,
	OUT response_rate float8,
	OUT lift float8,
	OUT cumulative_lift float8,
	OUT cumulative_gain float8
) RETURNS SETOF record
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE PARALLEL UNSAFE COST 100000 ROWS 10;
COMMENT ON FUNCTION pm_lift(regclass, name, name, int, jsonb) IS
	'How much better than average the rows of the highest predictions respond, by tenths of the rows: whom a campaign should reach.';

CREATE FUNCTION pm_calibration(
	source regclass,
	label name,
	prediction name,
	bins int DEFAULT 10,
	options jsonb DEFAULT '{}',
	OUT bin int,
	OUT n bigint,
	OUT mean_prediction float8,
	OUT base_rate float8,
	OUT lower float8,
	OUT upper float8
) RETURNS SETOF record
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE PARALLEL UNSAFE COST 100000 ROWS 10;
COMMENT ON FUNCTION pm_calibration(regclass, name, name, int, jsonb) IS
	'Probabilities beside what happened, in bins, with a 95 % interval of the rate: a reliability diagram.';

CREATE FUNCTION pm_leakage_check(
	source regclass,
	label name,
	features name[] DEFAULT NULL,
	options jsonb DEFAULT '{}',
	OUT feature text,
	OUT kind text,
	OUT auc float8,
	OUT coverage float8,
	OUT suspicious boolean,
	OUT reason text
) RETURNS SETOF record
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE PARALLEL UNSAFE COST 100000 ROWS 20;
COMMENT ON FUNCTION pm_leakage_check(regclass, name, name[], jsonb) IS
	'Columns that alone tell the label so well that they may know it: by their value, their category, or by being NULL.';

