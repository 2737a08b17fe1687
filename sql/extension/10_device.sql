-- devices ------------------------------------------------------------------

CREATE FUNCTION pm_device_info(
	OUT device text,
	OUT available boolean,
	OUT selected boolean,
	OUT model text,
	OUT features text,
	OUT units int,
	OUT memory_bytes bigint,
	OUT threads int,
	OUT reason text
) RETURNS SETOF record
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE STRICT PARALLEL RESTRICTED ROWS 2;
COMMENT ON FUNCTION pm_device_info() IS
	'Devices that models can be trained on: what each is, whether precmkt.device selects it, and the reason where it is not available.';

