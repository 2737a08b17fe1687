/*
 * layout_cases.h
 *		Tables for the tests of layouts, and what a layout should make of them:
 *		names and numbers of each row, by brute force over strings.
 */
#ifndef LAYOUT_CASES_H
#define LAYOUT_CASES_H

#include "layout.h"
#include "pm_arena.h"
#include "pm_rng.h"

#define CASE_COLUMNS 16
#define CASE_MEMBERS 6			/* of a row's set, at most */
#define CASE_VECTOR 3			/* length of a vector */

/* A table that a test owns. */
typedef struct LayoutCase
{
	PmContext	ctx;			/* with an arena of its own */
	PmSchema	schema;
	CtrTable	table;
	float	   *dense;
	int32_t    *codes;
	int64_t    *offsets[CASE_COLUMNS];	/* by set */
	int32_t    *members[CASE_COLUMNS];
	float	   *weights;
	uint8_t    *labels;
	uint8_t    *held_out;
	int			at[CASE_COLUMNS];	/* by column: in dense, codes or sets */
	int			code_at[CASE_COLUMNS];	/* of a time: its weekday in codes */
} LayoutCase;

/* What a random table holds besides its columns. */
typedef enum CaseFlags
{
	CASE_WEIGHTS = 1,
	CASE_HELD_OUT = 2,			/* every fifth row */
	CASE_WILD = 4,				/* rows held out have what others never have */
	CASE_LATER = 8				/* other categories and values, in part */
} CaseFlags;

/*
 * Random rows.  A column a letter: 'n'umber, 'i'nterval, 'c'ategory, 't'ime,
 * 'd'ate, 's'et, 'v'ector; a capital has NULLs, 'k' and 'K' are a number and
 * a category that are always the same.  Names are the letter and the column's
 * number.  The schema goes on from that of `previous`, which may be NULL.
 */
extern LayoutCase *case_table(const char *classes, int64_t n, int flags,
							  uint64_t seed, const LayoutCase *previous);
extern void case_table_free(LayoutCase *table);

/* A row by itself, in buffers of its own that may be changed. */
typedef struct CaseRow
{
	PmRow		row;
	float		dense[4 * CASE_COLUMNS];
	int32_t		codes[2 * CASE_COLUMNS];
	int32_t		set_ends[CASE_COLUMNS];
	int32_t		set_codes[CASE_COLUMNS * (CASE_MEMBERS + 1)];
} CaseRow;

extern void case_table_row(const LayoutCase *table, int64_t i, CaseRow *row);

/* The same row with categories that the table does not know. */
extern void case_row_unseen(const LayoutCase *table, CaseRow *row);

/* ---- what should come of it -------------------------------------------- */

#define ORACLE_PARTS 40
#define ORACLE_KEPT 800
#define ORACLE_NAME 64

typedef struct OraclePart
{
	CtrPartKind kind;
	int			column;
	bool		visible;
	CtrTransform transform;
	int			bins;
	int			member_count;
	int			members[CTR_MAX_MEMBERS];
	char		name[ORACLE_NAME];

	/* of a number */
	double		mean[CASE_VECTOR];
	double		deviation[CASE_VECTOR];	/* 0 for a constant */
	double		impute[CASE_VECTOR];

	/* of all others */
	float		bounds[64];
	int			bound_count;
	int			kept_count;
	char		(*kept)[ORACLE_NAME];
	bool		rare;
	bool		null;
} OraclePart;

typedef struct Oracle
{
	const CtrLayoutOptions *options;
	int			part_count;
	OraclePart	parts[ORACLE_PARTS];
} Oracle;

/* Learn a table's training rows; once more with another one to extend it. */
extern void oracle_learn(Oracle *oracle, const LayoutCase *table,
						 const CtrLayoutOptions *options);
extern void oracle_free(Oracle *oracle);

/* One nonzero of a row. */
typedef struct OracleEntry
{
	char		part[ORACLE_NAME];
	char		index[ORACLE_NAME];
	double		value;
} OracleEntry;

#define ORACLE_ENTRIES 128

/* A row's nonzeros, in any order; gives their number. */
extern int	oracle_row(const Oracle *oracle, const LayoutCase *table,
					   const PmRow *row, OracleEntry *entries);

#endif							/* LAYOUT_CASES_H */
