/*
 * logistic_bench.c
 *		Times one fit of logistic regression, from rows in memory to
 *		coefficients.
 *
 *	logistic_bench rows.bin l1 l2 tol max_iter solver std_errors threads
 *		precmkt_cpu.so|none [coefficients.f64]
 *
 * rows.bin, all little-endian: int64 n, number of fields, 1 where there are
 * weights; for each field int64 kind (0 DENSE, 1 CODE, 2 SET) and count;
 * uint8 labels[n]; float32 weights[n] where there are; then field by field:
 * float32 values[n * count], int32 codes[n], or int64 offsets[n + 1] and
 * int32 codes[offsets[n]].  solver is auto, lbfgs or newton.
 *
 * Prints one JSON line: the seconds of pm_logistic_fit(), its iterations and
 * loss, the arena's peak, the longest time without a look for interrupts.
 * The optional file gets the intercept, the coefficients and, where computed,
 * their standard errors, as float64.
 *
 * Build: cc -O3 -Iinclude, this file, all of src/numeric, src/ctr/log*.c,
 *		-ldl -lm
 */
#include "pm_arena.h"
#include "pm_ctr.h"
#include "pm_device.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Say why and leave. */
static void
die(const char *what, const char *why)
{
	fprintf(stderr, "logistic_bench: %s: %s\n", what, why);
	exit(1);
}

/* Read an array of a file, or leave. */
static void *
read_array(FILE *file, size_t count, size_t size)
{
	void	   *array = malloc(count * size + 1);

	if (array == NULL)
		die("rows", "memory is short");
	if (fread(array, size, count, file) != count)
		die("rows", "the file is too short");
	return array;
}

/* Read one field. */
static void
read_field(FILE *file, int64_t n, PmCtrField *field)
{
	if (field->kind == PM_CTR_DENSE)
		field->values = read_array(file, (size_t) n * (size_t) field->count, sizeof(float));
	else if (field->kind == PM_CTR_SET)
		field->offsets = read_array(file, (size_t) n + 1, sizeof(int64_t));
	if (field->kind == PM_CTR_CODE)
		field->codes = read_array(file, (size_t) n, sizeof(int32_t));
	else if (field->kind == PM_CTR_SET)
		field->codes = read_array(file, (size_t) field->offsets[n], sizeof(int32_t));
}

/* Read all rows. */
static void
read_rows(const char *path, PmCtrRows *rows)
{
	FILE	   *file = fopen(path, "rb");
	int64_t    *header;
	int64_t    *shapes;
	PmCtrField *fields;

	if (file == NULL)
		die(path, "cannot be opened");
	header = read_array(file, 3, sizeof(int64_t));
	shapes = read_array(file, 2 * (size_t) header[1], sizeof(int64_t));
	fields = calloc((size_t) header[1] + 1, sizeof(PmCtrField));
	memset(rows, 0, sizeof(*rows));
	rows->n = header[0];
	rows->field_count = (int) header[1];
	rows->fields = fields;
	rows->labels = read_array(file, (size_t) rows->n, 1);
	if (header[2] != 0)
		rows->weights = read_array(file, (size_t) rows->n, sizeof(float));
	for (int f = 0; f < rows->field_count; f++)
	{
		fields[f].kind = (PmCtrFieldKind) shapes[2 * f];
		fields[f].count = (int32_t) shapes[2 * f + 1];
		fields[f].first = rows->coefficient_count;
		rows->coefficient_count += fields[f].count;
		read_field(file, rows->n, &fields[f]);
	}
	free(header);
	free(shapes);
	fclose(file);
}

/* Load the device as src/device/device.c does. */
static void
load_device(const char *path, PmDevice *device)
{
	char		message[PM_MESSAGE_SIZE] = "";
	void	   *library;
	PmDeviceOpen open_device;

	setenv("OPENBLAS_NUM_THREADS", "1", 1);
	library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (library == NULL)
		die(path, dlerror());
	*(void **) &open_device = dlsym(library, PM_DEVICE_OPEN_SYMBOL);
	if (open_device == NULL)
		die(path, "has no " PM_DEVICE_OPEN_SYMBOL);
	if (open_device(device, message, sizeof(message)) != PM_OK)
		die(path, message);
}

/* The longest that the fit went without looking for interrupts. */
static double last_look;
static double longest_gap;

static bool
look(void *host)
{
	double		time = pm_ctr_clock();

	(void) host;
	if (time - last_look > longest_gap)
		longest_gap = time - last_look;
	last_look = time;
	return false;
}

static PmLogisticSolver
solver_named(const char *name)
{
	if (strcmp(name, "newton") == 0)
		return PM_LOGISTIC_NEWTON;
	return strcmp(name, "lbfgs") == 0 ? PM_LOGISTIC_LBFGS : PM_LOGISTIC_AUTO;
}

/* Intercept, coefficients, standard errors. */
static void
write_fit(const char *path, const PmLogisticFit *fit, int32_t count)
{
	FILE	   *file = fopen(path, "wb");

	if (file == NULL)
		die(path, "cannot be written");
	fwrite(&fit->intercept, sizeof(double), 1, file);
	fwrite(fit->coefficients, sizeof(double), (size_t) count, file);
	if (fit->std_errors != NULL)
	{
		fwrite(&fit->intercept_std_err, sizeof(double), 1, file);
		fwrite(fit->std_errors, sizeof(double), (size_t) count, file);
	}
	fclose(file);
}

int
main(int argc, char **argv)
{
	PmContext	ctx;
	PmDevice	device;
	PmCtrRows	rows;
	PmLogisticOptions options = {0};
	PmLogisticFit fit;
	double		seconds;

	if (argc < 10)
		die("usage", "logistic_bench rows.bin l1 l2 tol max_iter solver "
			"std_errors threads precmkt_cpu.so|none [coefficients.f64]");
	options.l1 = atof(argv[2]);
	options.l2 = atof(argv[3]);
	options.tol = atof(argv[4]);
	options.max_iter = atoi(argv[5]);
	options.solver = solver_named(argv[6]);
	options.standard_errors = atoi(argv[7]) != 0;

	memset(&ctx, 0, sizeof(ctx));
	ctx.threads = atoi(argv[8]);
	ctx.arena = pm_arena_create(&pm_malloc_allocator, 0);
	ctx.interrupted = look;
	if (strcmp(argv[9], "none") != 0)
	{
		load_device(argv[9], &device);
		ctx.device = &device;
	}
	read_rows(argv[1], &rows);

	seconds = last_look = pm_ctr_clock();
	if (pm_logistic_fit(&ctx, &rows, NULL, &options, NULL, &fit) != PM_OK)
		die("fit", ctx.message);
	look(NULL);
	seconds = pm_ctr_clock() - seconds;
	printf("{\"n\": %lld, \"coefficients\": %d, \"threads\": %d, "
		   "\"seconds\": %.6f, \"iterations\": %d, \"converged\": %s, "
		   "\"separated\": %s, \"loss\": %.12g, \"arena_peak_bytes\": %zu, "
		   "\"longest_gap_ms\": %.1f}\n",
		   (long long) rows.n, rows.coefficient_count, ctx.threads, seconds,
		   fit.iterations, fit.converged ? "true" : "false",
		   fit.separated ? "true" : "false", fit.loss,
		   pm_arena_peak(ctx.arena), longest_gap * 1e3);
	if (argc > 10)
		write_fit(argv[10], &fit, rows.coefficient_count);
	pm_arena_destroy(ctx.arena);
	return 0;
}
