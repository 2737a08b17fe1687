/*
 * precmkt.c
 *		Load time: the module's magic, its configuration parameters and hooks.
 */
#include "postgres.h"

#include <limits.h>

#include "fmgr.h"
#include "utils/guc.h"

#include "pm_settings.h"
#include "pm_stream.h"

PG_MODULE_MAGIC;

extern PGDLLEXPORT void _PG_init(void);

int			pm_setting_device = PM_DEVICE_AUTO;
int			pm_setting_threads = 0;
int			pm_setting_max_memory = 1024 * 1024;

static const struct config_enum_entry device_choices[] = {
	{"auto", PM_DEVICE_AUTO, false},
	{"cpu", PM_DEVICE_CPU, false},
	{"cuda", PM_DEVICE_CUDA, false},
	{NULL, 0, false}
};

void
_PG_init(void)
{
	DefineCustomEnumVariable("precmkt.device",
							 "The device that models are trained on.",
							 "\"auto\" uses a GPU where it repays the transfer, \"cpu\" never, \"cuda\" always.",
							 &pm_setting_device, PM_DEVICE_AUTO,
							 device_choices, PGC_USERSET, 0,
							 NULL, NULL, NULL);
	DefineCustomIntVariable("precmkt.threads",
							"Threads of one training run.",
							"0 means max_parallel_maintenance_workers + 1. Never more than the CPUs that the backend may use.",
							&pm_setting_threads, 0, 0, 256, PGC_USERSET, 0,
							NULL, NULL, NULL);
	DefineCustomIntVariable("precmkt.max_memory",
							"Memory that one training run may use.",
							"A run that would need more stops with an error before it allocates.",
							&pm_setting_max_memory, 1024 * 1024, 1024,
							INT_MAX, PGC_USERSET, GUC_UNIT_KB,
							NULL, NULL, NULL);
#if PG_VERSION_NUM >= 150000
	MarkGUCPrefixReserved("precmkt");
#else
	EmitWarningsOnPlaceholders("precmkt");
#endif
	pm_stream_init();
}
