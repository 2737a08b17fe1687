/*
 * fit_bench.c
 *		Times one fit of k-means, from rows in memory to labels.
 *
 *	fit_bench x.f32 n d k init.f32 iterations threads precmkt_cpu.so
 *
 * x.f32 holds n * d float32, init.f32 the k * d of the start.  The device is
 * loaded as precmkt loads it: OpenBLAS single-threaded, with the kernels that
 * CPUID calls for.  Prints one JSON line: the seconds of pm_kmeans_fit(), its
 * iterations and inertia, the arena's peak, and by how much the process's
 * resident peak passed what it held before x was read; x is part of that.
 *
 * Build: cc -O3 -Iinclude, this file, all of src/numeric, the kmeans files of
 *		src/segment but those named _sql or _model, -ldl -lm
 */
#include "pm_arena.h"
#include "pm_device.h"
#include "pm_kmeans.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Say why and leave. */
static void
die(const char *what, const char *why)
{
	fprintf(stderr, "fit_bench: %s: %s\n", what, why);
	exit(1);
}

/* A positive number from the command line. */
static int64_t
read_number(const char *text, int64_t most)
{
	char	   *end;
	long long	number = strtoll(text, &end, 10);

	if (*end != '\0' || number < 1 || number > most)
		die(text, "not a number in range");
	return number;
}

/* Read exactly `count` floats. */
static float *
read_floats(const char *path, size_t count)
{
	size_t		bytes = count * sizeof(float);
	size_t		done = 0;
	char	   *block = malloc(bytes);
	int			file = open(path, O_RDONLY);

	if (block == NULL || file < 0)
		die(path, "cannot be opened, or memory is short");
	while (done < bytes)
	{
		size_t		left = bytes - done;
		ssize_t		got = read(file, block + done,
							   left < (1 << 26) ? left : (1 << 26));

		if (got <= 0)
			die(path, "is too short");
		done += (size_t) got;
	}
	close(file);
	return (float *) block;
}

/* A line of /proc/self/status in bytes. */
static long long
resident(const char *name)
{
	FILE	   *file = fopen("/proc/self/status", "r");
	char		line[200];
	long long	kilobytes = 0;

	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		if (strncmp(line, name, strlen(name)) == 0)
			kilobytes = atoll(line + strlen(name) + 1);
	if (file != NULL)
		fclose(file);
	return kilobytes * 1024;
}

/* Load the device as src/device/device.c does. */
static void
load_device(const char *path, PmDevice *device)
{
	char		message[PM_MESSAGE_SIZE] = "";
	void	   *library;
	PmDeviceOpen open_device;

	setenv("OPENBLAS_NUM_THREADS", "1", 1);
	setenv("OMP_WAIT_POLICY", "PASSIVE", 1);
#if defined(__x86_64__)
	if (__builtin_cpu_supports("avx512f"))
		setenv("OPENBLAS_CORETYPE", "SkylakeX", 0);
#endif
	library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (library == NULL)
		die(path, dlerror());
	*(void **) &open_device = dlsym(library, PM_DEVICE_OPEN_SYMBOL);
	if (open_device == NULL)
		die(path, "has no " PM_DEVICE_OPEN_SYMBOL);
	if (open_device(device, message, sizeof(message)) != PM_OK)
		die(path, message);
	if (device->api_version != PM_DEVICE_API_VERSION)
		die(path, "has another version");
}

/* Seconds of a clock that only goes forward. */
static double
now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double) time.tv_sec + 1e-9 * (double) time.tv_nsec;
}

/* The longest that the fit went without looking for interrupts. */
static double last_look;
static double longest_gap;

static bool
look(void *host)
{
	double		time = now();

	(void) host;
	if (time - last_look > longest_gap)
		longest_gap = time - last_look;
	last_look = time;
	return false;
}

int
main(int argc, char **argv)
{
	PmContext	ctx;
	PmDevice	device;
	PmKMeansRows rows;
	PmKMeansFit fit;
	PmKMeansOptions options = {0};
	long long	baseline;
	float	   *initial;
	double		seconds;

	if (argc != 9)
		die("usage", "fit_bench x.f32 n d k init.f32 iterations threads precmkt_cpu.so");
	memset(&rows, 0, sizeof(rows));
	rows.n = read_number(argv[2], INT64_C(1) << 40);
	rows.d = (int) read_number(argv[3], 1 << 20);
	options.k = (int) read_number(argv[4], 1 << 24);
	options.max_iter = (int) read_number(argv[6], 1 << 20);
	options.n_init = 1;

	memset(&ctx, 0, sizeof(ctx));
	ctx.threads = (int) read_number(argv[7], 1024);
	ctx.arena = pm_arena_create(&pm_malloc_allocator, 0);
	ctx.device = &device;
	ctx.interrupted = look;
	load_device(argv[8], &device);
	initial = read_floats(argv[5], (size_t) options.k * rows.d);
	baseline = resident("VmRSS:");
	rows.x = read_floats(argv[1], (size_t) rows.n * rows.d);

	seconds = last_look = now();
	if (pm_kmeans_fit(&ctx, &rows, &options, initial, &fit) != PM_OK)
		die("fit", ctx.message);
	seconds = now() - seconds;
	printf("{\"n\": %lld, \"d\": %d, \"k\": %d, \"threads\": %d, "
		   "\"seconds\": %.6f, \"iterations\": %d, \"inertia\": %.9g, "
		   "\"peak_bytes\": %lld, \"arena_peak_bytes\": %zu, "
		   "\"longest_gap_ms\": %.1f}\n",
		   (long long) rows.n, rows.d, options.k, ctx.threads, seconds,
		   fit.iterations, fit.inertia, resident("VmHWM:") - baseline,
		   pm_arena_peak(ctx.arena), longest_gap * 1e3);
	pm_kmeans_release(&ctx, &fit);
	pm_arena_destroy(ctx.arena);
	return 0;
}
