/*
 * device.c
 *		Loads device libraries, in the manner of core's JIT provider
 *		(src/backend/jit/jit.c), and tells about them.
 *
 * A device library is opened on first use in a backend, so always after the
 * fork: a BLAS or CUDA context made in the postmaster would not survive it.
 * All signals are blocked meanwhile, so that threads which a library starts
 * while it loads inherit the mask and never run a PostgreSQL signal handler.
 * A failure is remembered for the session and shown by pm_device_info().
 */
#include "postgres.h"

#include <dlfcn.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include "funcapi.h"
#include "miscadmin.h"
#include "optimizer/cost.h"
#include "utils/builtins.h"

#include "pm_device_loader.h"
#include "pm_host.h"
#include "pm_settings.h"

typedef struct DeviceSlot
{
	const char *name;
	const char *library;
	const char *missing_hint;
	bool		tried;
	bool		loaded;
	PmDevice	device;
	char		reason[PM_MESSAGE_SIZE * 2];	/* why it is not loaded */
} DeviceSlot;

static DeviceSlot slots[] = {
	{.name = "cpu",.library = "precmkt_cpu" DLSUFFIX,
	.missing_hint = "It belongs beside precmkt" DLSUFFIX "; \"make install\" puts it there."},
	{.name = "cuda",.library = "precmkt_cuda" DLSUFFIX,
	.missing_hint = "It is built where nvcc is; set precmkt.device to \"auto\" or \"cpu\" to do without."},
};

/*
 * Settings that libraries read from the environment while they load.  Our
 * parallelism is over chunks, so the BLAS itself runs on one thread.  Debian's OpenBLAS 0.3.21 does not know CPUs newer than
 * itself and falls back to AVX2 kernels: where AVX-512 is usable, say so.
 */
typedef struct Setting
{
	const char *name;
	const char *value;
	char	   *previous;
} Setting;

static bool
cpu_has_avx512(void)
{
#if defined(__x86_64__)
	return __builtin_cpu_supports("avx512f") &&
		__builtin_cpu_supports("avx512dq") &&
		__builtin_cpu_supports("avx512bw") &&
		__builtin_cpu_supports("avx512vl");
#else
	return false;
#endif
}

/* Set what the administrator has not set. */
static void
set_environment(Setting *settings, int count)
{
	for (int i = 0; i < count; i++)
	{
		const char *current = getenv(settings[i].name);

		settings[i].previous = current != NULL ? pstrdup(current) : NULL;
		if (current == NULL && settings[i].value != NULL)
			setenv(settings[i].name, settings[i].value, 1);
	}
}

static void
restore_environment(Setting *settings, int count)
{
	for (int i = 0; i < count; i++)
		if (settings[i].previous == NULL)
			unsetenv(settings[i].name);
}

/* The folder that this library was loaded from. */
static char *
library_folder(void)
{
	Dl_info		info;
	char	   *folder;

	if (dladdr((void *) library_folder, &info) == 0 || info.dli_fname == NULL)
		return pstrdup(pkglib_path);
	folder = pstrdup(info.dli_fname);
	get_parent_directory(folder);
	return folder;
}

/* dlopen and fill in the table; false leaves the reason in the slot. */
static bool
open_library(DeviceSlot *slot, const char *path)
{
	void	   *handle;
	PmDeviceOpen open_device;
	char		message[PM_MESSAGE_SIZE] = "";

	if (access(path, F_OK) != 0)
	{
		snprintf(slot->reason, sizeof(slot->reason), "\"%s\" does not exist",
				 path);
		return false;
	}
	handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (handle == NULL)
	{
		strlcpy(slot->reason, dlerror(), sizeof(slot->reason));
		return false;
	}
	open_device = (PmDeviceOpen) dlsym(handle, PM_DEVICE_OPEN_SYMBOL);
	if (open_device == NULL)
	{
		snprintf(slot->reason, sizeof(slot->reason),
				 "\"%s\" is not a device library: it has no %s", path,
				 PM_DEVICE_OPEN_SYMBOL);
		return false;
	}
	if (open_device(&slot->device, message, sizeof(message)) != PM_OK)
	{
		strlcpy(slot->reason, message, sizeof(slot->reason));
		return false;
	}
	if (slot->device.api_version != PM_DEVICE_API_VERSION ||
		slot->device.table_size != sizeof(PmDevice))
	{
		snprintf(slot->reason, sizeof(slot->reason),
				 "\"%s\" was built for device interface %u (%u bytes), this is %u (%zu bytes)",
				 path, slot->device.api_version, slot->device.table_size,
				 PM_DEVICE_API_VERSION, sizeof(PmDevice));
		return false;
	}
	return true;
}

/* Load a device once; what happened stays. */
static bool
load_device(DeviceSlot *slot)
{
	Setting		settings[] = {
		{"OPENBLAS_NUM_THREADS", "1", NULL},
		{"OPENBLAS_CORETYPE", cpu_has_avx512() ? "SkylakeX" : NULL, NULL},
	};
	sigset_t	all;
	sigset_t	previous;
	char	   *path;

	if (slot->tried)
		return slot->loaded;
	slot->tried = true;
	path = psprintf("%s/%s", library_folder(), slot->library);

	set_environment(settings, lengthof(settings));
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &previous);
	slot->loaded = open_library(slot, path);
	pthread_sigmask(SIG_SETMASK, &previous, NULL);
	restore_environment(settings, lengthof(settings));

	elog(DEBUG1, "precmkt device \"%s\": %s", slot->name,
		 slot->loaded ? "loaded" : slot->reason);
	return slot->loaded;
}

/* The slot that precmkt.device names. */
static DeviceSlot *
chosen_slot(void)
{
	return &slots[pm_setting_device == PM_DEVICE_CUDA ? 1 : 0];
}

PmDevice *
pm_device_get(void)
{
	DeviceSlot *slot = chosen_slot();

	if (!load_device(slot))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("device \"%s\" is not available", slot->name),
				 errdetail("%s.", slot->reason),
				 errhint("%s", slot->missing_hint)));
	return &slot->device;
}

/* CPUs that this process may run on. */
static int
affinity_cpus(void)
{
	cpu_set_t	set;

	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		return Max(1, CPU_COUNT(&set));
	return Max(1, (int) sysconf(_SC_NPROCESSORS_ONLN));
}

int
pm_device_threads(void)
{
	int			wanted = pm_setting_threads > 0 ? pm_setting_threads :
		max_parallel_maintenance_workers + 1;

	return Min(wanted, affinity_cpus());
}

PM_FUNCTION(pm_device_info);

/* pm_device_info() → TABLE(device, available, selected, model, ...) */
Datum
pm_device_info(PG_FUNCTION_ARGS)
{
	PmRows		rows = pm_rows_begin(fcinfo);

	for (int i = 0; i < lengthof(slots); i++)
	{
		DeviceSlot *slot = &slots[i];
		Datum		values[9] = {0};
		bool		nulls[9] = {false};
		PmDeviceInfo info = {0};

		load_device(slot);
		values[0] = CStringGetTextDatum(slot->name);
		values[1] = BoolGetDatum(slot->loaded);
		values[2] = BoolGetDatum(slot == chosen_slot());
		if (slot->loaded)
		{
			slot->device.describe(&slot->device, &info);
			values[3] = CStringGetTextDatum(info.model);
			values[4] = CStringGetTextDatum(info.features);
			values[5] = Int32GetDatum(info.units);
			values[6] = Int64GetDatum((int64) info.memory);
			nulls[6] = info.memory == 0;
			values[7] = Int32GetDatum(i == 0 ? pm_device_threads() : 0);
			nulls[7] = i != 0;
			nulls[8] = true;
		}
		else
		{
			nulls[3] = nulls[4] = nulls[5] = nulls[6] = nulls[7] = true;
			values[8] = CStringGetTextDatum(slot->reason);
		}
		pm_rows_put(&rows, values, nulls);
	}
	return (Datum) 0;
}
