/*
 * make_corpus.h
 *		What the parts of make_corpus share.
 */
#ifndef MAKE_CORPUS_H
#define MAKE_CORPUS_H

#include "pm_schema.h"

extern PmContext corpus_context;

/* End the program unless this worked. */
extern void must(PmStatus status);

/*
 * A schema of the classes given: 'n'umber, 'i'nterval, 'c'ategory, 't'ime,
 * 'd'ate, 's'et, 'v'ector of 3.
 */
extern PmSchema *make_schema(const char *classes);

/* Write a file of the corpus. */
extern void save_bytes(const char *name, const void *bytes, size_t size);

/* Click models, by make_corpus_ctr.c. */
extern void save_ctr(void);

#endif							/* MAKE_CORPUS_H */
