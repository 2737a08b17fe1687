/*
 * open.c
 *		The CPU device: its table, the choice of instruction set, what it
 *		says of itself, and memory, which is the host's own.
 *
 * The kernels are those of the best instruction set that the CPU has.  The
 * environment variable PRECMKT_CPU_ISA, read when the library is opened, asks
 * for a lesser one: generic, avx2, avx512 or avx512bf16.  Results are the
 * same with each; tests use it.
 */
#define _GNU_SOURCE				/* sched_getaffinity */

#include "cpu.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

const PmCpuKernels *pm_cpu_kernels = &pm_cpu_kernels_generic;
const PmCpuKernels *pm_cpu_kernels_narrow = &pm_cpu_kernels_generic;

/* One instruction set: its kernels, and whether this CPU has it. */
typedef struct Choice
{
	const PmCpuKernels *kernels;
	bool		usable;
} Choice;

/*
 * Choose the kernels: the named ones, or the best.  False when there is no
 * such name or this CPU cannot run it.
 */
static bool
choose_kernels(const char *name)
{
	Choice		choices[4];
	int			count = 0;

#if defined(__x86_64__)
	bool		avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
	bool		avx512 = avx2 && __builtin_cpu_supports("avx512f") &&
		__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
		__builtin_cpu_supports("avx512vl");

	choices[count++] = (Choice) {&pm_cpu_kernels_avx512bf16,
		avx512 && __builtin_cpu_supports("avx512bf16")};
	choices[count++] = (Choice) {&pm_cpu_kernels_avx512, avx512};
	choices[count++] = (Choice) {&pm_cpu_kernels_avx2, avx2};
#endif
	choices[count++] = (Choice) {&pm_cpu_kernels_generic, true};
	for (int i = 0; i < count; i++)
		if (choices[i].usable &&
			(name == NULL || strcmp(name, choices[i].kernels->name) == 0))
		{
			pm_cpu_kernels = choices[i].kernels;
			pm_cpu_kernels_narrow = pm_cpu_kernels;
#if defined(__x86_64__)
			/* there, deciding what bfloat16 leaves open costs more than it saves */
			if (pm_cpu_kernels == &pm_cpu_kernels_avx512bf16)
				pm_cpu_kernels_narrow = &pm_cpu_kernels_avx512;
#endif
			return true;
		}
	return false;
}

/* CPUs that this process may run on. */
static int
usable_cpus(void)
{
	cpu_set_t	set;
	long		online = sysconf(_SC_NPROCESSORS_ONLN);

	if (sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) > 0)
		return CPU_COUNT(&set);
	return online > 0 ? (int) online : 1;
}

/* The CPU's name as the kernel gives it, else the architecture's. */
static void
read_model(char *model, size_t size)
{
	FILE	   *file = fopen("/proc/cpuinfo", "r");
	char		line[256];

#if defined(__x86_64__)
	snprintf(model, size, "x86-64");
#elif defined(__aarch64__)
	snprintf(model, size, "AArch64");
#else
	snprintf(model, size, "CPU");
#endif
	if (file == NULL)
		return;
	while (fgets(line, sizeof(line), file) != NULL)
	{
		char	   *colon = strchr(line, ':');

		if (colon == NULL || strncmp(line, "model name", 10) != 0)
			continue;
		colon += strspn(colon, ": \t");
		colon[strcspn(colon, "\n")] = '\0';
		snprintf(model, size, "%s", colon);
		break;
	}
	fclose(file);
}

/* What the device is. */
static void
describe(PmDevice *device, PmDeviceInfo *info)
{
	char		blas[96];

	(void) device;
	memset(info, 0, sizeof(*info));
	read_model(info->model, sizeof(info->model));
	pm_cpu_blas_describe(blas, sizeof(blas));
	snprintf(info->features, sizeof(info->features), "%s, %s",
			 pm_cpu_kernels->name, blas);
	info->units = usable_cpus();
}

/* A block of the arena. */
static PmStatus
allocate(PmContext *ctx, size_t bytes, PmBuffer *buffer)
{
	memset(buffer, 0, sizeof(*buffer));
	PM_TRY(pm_alloc(ctx, "device buffer", bytes, 1, &buffer->data));
	buffer->bytes = bytes;
	return PM_OK;
}

/* The host's own pointer; nobody writes through it. */
static PmStatus
upload(PmContext *ctx, const void *host, size_t bytes, PmBuffer *buffer)
{
	(void) ctx;
	buffer->data = (void *) (uintptr_t) host;
	buffer->bytes = bytes;
	buffer->borrowed = true;
	return PM_OK;
}

/* Copy bytes [offset, offset + bytes) of a buffer out. */
static PmStatus
download(PmContext *ctx, const PmBuffer *buffer, size_t offset, void *host,
		 size_t bytes)
{
	if (offset > buffer->bytes || bytes > buffer->bytes - offset)
		return pm_fail(ctx, PM_INVALID,
					   "download of bytes %zu to %zu of a buffer of %zu",
					   offset, offset + bytes, buffer->bytes);
	if (bytes > 0)
		memmove(host, (const char *) buffer->data + offset, bytes);
	return PM_OK;
}

/* Give a buffer back; a second time does nothing. */
static void
release(PmContext *ctx, PmBuffer *buffer)
{
	if (!buffer->borrowed)
		pm_release(ctx, buffer->data);
	memset(buffer, 0, sizeof(*buffer));
}

/* The one exported symbol: fill in the table. */
__attribute__((visibility("default"))) PmStatus
pm_device_open(PmDevice *device, char *message, size_t size)
{
	const char *isa = getenv("PRECMKT_CPU_ISA");

	if (isa != NULL && *isa == '\0')
		isa = NULL;
	if (!choose_kernels(isa))
	{
		snprintf(message, size,
				 "PRECMKT_CPU_ISA is \"%s\", which this CPU or this build does not have",
				 isa);
		return PM_UNSUPPORTED;
	}
	pm_cpu_blas_open();
	*device = (PmDevice) {
		.api_version = PM_DEVICE_API_VERSION,
		.table_size = sizeof(PmDevice),
		.name = "cpu",
		.describe = describe,
		.allocate = allocate,
		.upload = upload,
		.download = download,
		.release = release,
		.parallel_for = pm_cpu_parallel_for,
		.sgemm = pm_cpu_sgemm,
		.ssyrk = pm_cpu_ssyrk,
		.dpotrf = pm_cpu_dpotrf,
		.dpotrs = pm_cpu_dpotrs,
		.nearest_centroid = pm_cpu_nearest_centroid,
		.lloyd_open = pm_cpu_lloyd_open,
		.lloyd_assign = pm_cpu_lloyd_assign,
		.lloyd_sums = pm_cpu_lloyd_sums,
		.lloyd_labels = pm_cpu_lloyd_labels,
		.lloyd_close = pm_cpu_lloyd_close
	};
	return PM_OK;
}
