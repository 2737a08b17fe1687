/*
 * test_csr.c
 *		Transposes of random sparse matrices, element by element.
 */
#include "pm_csr.h"

#include <stdlib.h>

#include "fault_device.h"
#include "pm_rng.h"
#include "test.h"

/* A matrix in which a share of the elements is there; some rows are empty. */
static void
make_matrix(PmCsr *matrix, int32_t rows, int32_t columns, double share)
{
	PmRng		rng;
	int64_t		count = 0;

	pm_rng_seed(&rng, (uint64_t) rows, (uint64_t) columns);
	matrix->rows = rows;
	matrix->columns = columns;
	matrix->offsets = malloc((size_t) (rows + 1) * sizeof(int64_t));
	matrix->indices = malloc((size_t) rows * columns * sizeof(int32_t) + 1);
	matrix->values = malloc((size_t) rows * columns * sizeof(float) + 1);
	for (int32_t row = 0; row < rows; row++)
	{
		matrix->offsets[row] = count;
		for (int32_t column = 0; column < columns && row % 5 != 3; column++)
			if (pm_rng_uniform(&rng) < share)
			{
				matrix->indices[count] = column;
				matrix->values[count++] = (float) (row * 1000 + column);
			}
	}
	matrix->offsets[rows] = count;
}

static void
free_matrix(PmCsr *matrix)
{
	free(matrix->offsets);
	free(matrix->indices);
	free(matrix->values);
}

/* The transpose has each element, in increasing order, and no other one. */
static void
check_transpose(const PmCsr *matrix, const PmCsr *transposed)
{
	CHECK_INT(transposed->rows, matrix->columns);
	CHECK_INT(transposed->columns, matrix->rows);
	CHECK_INT(transposed->offsets[0], 0);
	CHECK_INT(pm_csr_count(transposed), pm_csr_count(matrix));
	for (int32_t row = 0; row < transposed->rows; row++)
		for (int64_t i = transposed->offsets[row]; i < transposed->offsets[row + 1]; i++)
			if (transposed->values[i] != (float) (transposed->indices[i] * 1000 + row) ||
				(i > transposed->offsets[row] && transposed->indices[i - 1] >= transposed->indices[i]))
			{
				TEST_FAIL("row %d, element %lld", row, (long long) i);
				return;
			}
}

static void
every_element(void)
{
	static const int32_t sizes[][2] = {{1, 1}, {1, 50}, {50, 1}, {7, 3}, {300, 40}, {40, 300}, {999, 20}};

	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++)
		for (int share = 0; share <= 4; share++)
		{
			PmCsr		matrix;
			PmCsr		transposed;
			PmContext	ctx;

			fault_context(&ctx, NULL, 0, 1, NULL);
			make_matrix(&matrix, sizes[s][0], sizes[s][1], share / 4.0);
			CHECK_INT(pm_csr_transpose(&ctx, &matrix, &transposed), PM_OK);
			check_transpose(&matrix, &transposed);
			pm_csr_release(&ctx, &transposed);
			CHECK_INT(pm_arena_used(ctx.arena), 0);
			free_matrix(&matrix);
			pm_arena_destroy(ctx.arena);
		}
}

static void
cancelled_and_out_of_memory(void)
{
	PmCsr		matrix;
	PmCsr		transposed;
	FaultHost	host = {0, 1};
	PmContext	ctx;

	make_matrix(&matrix, 300, 40, 0.5);
	fault_context(&ctx, NULL, 0, 1, &host);
	CHECK_INT(pm_csr_transpose(&ctx, &matrix, &transposed), PM_CANCELLED);
	pm_arena_destroy(ctx.arena);
	for (size_t limit = 1; limit < 60000; limit += 3000)
	{
		PmStatus	status;

		fault_context(&ctx, NULL, limit, 1, NULL);
		status = pm_csr_transpose(&ctx, &matrix, &transposed);
		CHECK(status == PM_MEMORY_LIMIT || (status == PM_OK && limit > 40000));
		pm_arena_destroy(ctx.arena);
	}
	free_matrix(&matrix);
}

int
main(void)
{
	TEST(every_element);
	TEST(cancelled_and_out_of_memory);
	return test_report();
}
