/*
 * pm_model.h
 *		The model container: a bytea of named, typed sections.
 *
 * Layout, little-endian:
 *
 *		0	char[4]		"PMKT"
 *		4	uint32		format version, 1
 *		8	char[16]	kind, NUL-padded ("kmeans")
 *		24	byte[16]	id: a hash of kind and of every section but "run"
 *		40	uint64		length of all that follows the header
 *		48	uint32		number of sections
 *		52	uint32		CRC-32C of the whole, this field taken as 0
 *		56	byte[8]		zero
 *		64	one entry of 64 bytes a section:
 *				char[16] name, uint32 type, uint32 number of dimensions (0..2),
 *				uint64 dims[2], uint64 offset from the container's start,
 *				uint64 length in bytes, byte[8] zero
 *		..	the sections, each at a multiple of 64
 *
 * Section "meta" is JSON that tells how the model came to be and is a
 * function of data, options and seed; "run" is JSON of the one training run
 * (time, seconds, device, versions).  Two models trained alike differ in
 * "run" alone and have the same id.
 *
 * A model comes from a table that anyone may write, so it is untrusted:
 * pm_model_open() believes nothing that it has not checked.  Plain C: fuzzed,
 * and read where there is no server.
 */
#ifndef PM_MODEL_H
#define PM_MODEL_H

#include "pm_arena.h"
#include "pm_context.h"

#define PM_MODEL_MAGIC "PMKT"
#define PM_MODEL_FORMAT 1
#define PM_MODEL_ID_SIZE 16
#define PM_MODEL_NAME_SIZE 16	/* of kinds and sections, with their NUL */
#define PM_MODEL_MAX_SECTIONS 64

typedef enum PmSectionType
{
	PM_SECTION_BYTES,
	PM_SECTION_JSON,
	PM_SECTION_FLOAT32,
	PM_SECTION_FLOAT64,
	PM_SECTION_INT32,
	PM_SECTION_INT64
} PmSectionType;

typedef struct PmSection
{
	char		name[PM_MODEL_NAME_SIZE];
	PmSectionType type;
	int			dimensions;		/* 0: bytes and JSON, else 1 or 2 */
	uint64_t	dims[2];		/* dims[1] = 1 for one dimension */
	const void *data;			/* aligned to 64 bytes */
	uint64_t	length;			/* in bytes */
} PmSection;

/* An opened model: views into bytes that must outlive it. */
typedef struct PmModel
{
	char		kind[PM_MODEL_NAME_SIZE];
	uint32_t	format;
	unsigned char id[PM_MODEL_ID_SIZE];
	uint64_t	size;
	int			section_count;
	PmSection	sections[PM_MODEL_MAX_SECTIONS];
} PmModel;

/*
 * Check and open.  bytes must be aligned to 64.  PM_CORRUPT says why not:
 * foreign bytes, a newer format, a wrong length or checksum, a section out of
 * bounds, misaligned, overlapping or twice.
 */
extern PmStatus pm_model_open(PmContext *ctx, const void *bytes, size_t size,
							  PmModel *model);

/*
 * A section of the type and dimensions given (-1 = any), or PM_CORRUPT.
 */
extern PmStatus pm_model_section(PmContext *ctx, const PmModel *model,
								 const char *name, PmSectionType type,
								 int64_t rows, int64_t columns,
								 const PmSection **section);

/* What a model is written from. */
typedef struct PmModelWriter
{
	char		kind[PM_MODEL_NAME_SIZE];
	int			section_count;
	PmSection	sections[PM_MODEL_MAX_SECTIONS];
} PmModelWriter;

extern void pm_model_begin(PmModelWriter *writer, const char *kind);

/* The data must stay until pm_model_write(). */
extern void pm_model_add_bytes(PmModelWriter *writer, const char *name,
							   PmSectionType type, const void *data,
							   size_t length);
extern void pm_model_add_array(PmModelWriter *writer, const char *name,
							   PmSectionType type, const void *data,
							   uint64_t rows, uint64_t columns);

/* Bytes that the written model takes. */
extern uint64_t pm_model_size(const PmModelWriter *writer);

/* Write it; bytes is at least pm_model_size() long. */
extern void pm_model_write(const PmModelWriter *writer, void *bytes);

#endif							/* PM_MODEL_H */
