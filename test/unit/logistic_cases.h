/*
 * logistic_cases.h
 *		Rows for the tests of logistic regression.
 */
#ifndef LOGISTIC_CASES_H
#define LOGISTIC_CASES_H

#include "pm_arena.h"
#include "pm_ctr.h"

#define CASE_FIELDS 32

/* Rows that may be written; fill them in and give them back. */
typedef struct CtrCase
{
	PmCtrRows	rows;			/* refers to what follows */
	PmCtrField	fields[CASE_FIELDS];
	float	   *values[CASE_FIELDS];
	int32_t    *codes[CASE_FIELDS];
	int64_t    *offsets[CASE_FIELDS];
	uint8_t    *labels;
	float	   *weights;		/* NULL: none */
} CtrCase;

extern CtrCase *case_new(int64_t n, bool weights);
extern void case_free(CtrCase *rows);

/* Add a field of `count` columns or categories; gives its number. */
extern int	case_add(CtrCase *rows, PmCtrFieldKind kind, int32_t count,
					 int64_t codes);

/* A copy with each row as many times as its weight says, and no weights. */
extern CtrCase *case_repeated(const CtrCase *rows);

/* Marsaglia's xorshift64, of which 31 bits are used. */
extern int	case_below(uint64_t *state, int bound);

/* The rows of golden/make_logistic.py. */
extern CtrCase *case_golden(bool tame, bool weights);

/*
 * Random rows: `dense` numbers in one field, a CODE field of each of `sizes`
 * (0 ends them), of which the second has rows without one, and a SET field.
 * Labels depend on them.
 */
extern CtrCase *case_random(int64_t n, int dense, const int *sizes,
							bool weights, uint64_t seed);

/*
 * The training part of the Adult data as make_logistic.py makes it; NULL
 * where PRECMKT_DATA has none.
 */
extern CtrCase *case_adult(void);

/* Element j of a row, over all coefficients. */
extern double case_element(const PmCtrRows *rows, int64_t i, int32_t j);

extern PmLogisticOptions case_options(double l1, double l2,
									  PmLogisticSolver solver);

#endif							/* LOGISTIC_CASES_H */
