-- models -------------------------------------------------------------------

CREATE FUNCTION pm_model_kind(model bytea) RETURNS text
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION pm_model_kind(bytea) IS
	'The kind of a model, such as kmeans. An error (22000) where the bytes are no sound model.';

CREATE FUNCTION pm_model_info(model bytea, OUT key text, OUT value text)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE ROWS 40;
COMMENT ON FUNCTION pm_model_info(bytea) IS
	'What a model says of itself: kind, id, options as used, columns, rows used and skipped, metrics, and the run that made it.';

-- The registry. A role sees and uses the models that it saved; names are
-- shared by all roles. Owners and superusers are not bound by the policy.
CREATE TABLE pm_models (
	name text NOT NULL CHECK (name <> ''),
	version int NOT NULL,
	model bytea NOT NULL,
	kind text NOT NULL,
	metrics jsonb NOT NULL DEFAULT '{}',
	created_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
	created_by name NOT NULL DEFAULT CURRENT_USER,
	deployed boolean NOT NULL DEFAULT true,
	PRIMARY KEY (name, version)
);
-- Models do not compress; out of line they cost a scan of the table nothing.
ALTER TABLE pm_models ALTER COLUMN model SET STORAGE EXTERNAL;
CREATE UNIQUE INDEX pm_models_deployed ON pm_models (name) WHERE deployed;
ALTER TABLE pm_models ENABLE ROW LEVEL SECURITY;
CREATE POLICY pm_models_own ON pm_models USING (created_by = CURRENT_USER);
GRANT SELECT, INSERT, UPDATE, DELETE ON pm_models TO PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('pm_models', '');

COMMENT ON TABLE pm_models IS
	'Saved models by name and version. One version of a name is deployed: the one that scorers use.';
COMMENT ON COLUMN pm_models.name IS 'The name that scorers are given.';
COMMENT ON COLUMN pm_models.version IS '1, 2, 3 ... within a name.';
COMMENT ON COLUMN pm_models.model IS 'The model itself.';
COMMENT ON COLUMN pm_models.kind IS 'What it is: pm_model_kind(model).';
COMMENT ON COLUMN pm_models.metrics IS 'Whatever the saver recorded about its quality.';
COMMENT ON COLUMN pm_models.created_at IS 'When it was saved.';
COMMENT ON COLUMN pm_models.created_by IS 'The role that saved it, and may use it.';
COMMENT ON COLUMN pm_models.deployed IS 'Whether this version answers to the name.';

CREATE FUNCTION pm_model(name text) RETURNS bytea
	AS 'MODULE_PATHNAME', 'pm_model_by_name' LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION pm_model(text) IS
	'The deployed model of a name in pm_models. An error (42704) where there is none that you may use.';

CREATE FUNCTION pm_model_info(model text, OUT key text, OUT value text)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE STRICT PARALLEL SAFE ROWS 40;
COMMENT ON FUNCTION pm_model_info(text) IS
	'What the deployed model of a name says of itself.';

CREATE FUNCTION pm_model_save(name text, model bytea, metrics jsonb DEFAULT '{}')
	RETURNS int
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION pm_model_save(text, bytea, jsonb) IS
	'Save a model as the next version of a name and deploy it, in one step of the current transaction. Returns the version.';

