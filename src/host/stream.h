/*
 * stream.h
 *		Between the parts of our own scan: call, plan, execution.
 */
#ifndef STREAM_H
#define STREAM_H

#include "postgres.h"

#include "nodes/execnodes.h"
#include "nodes/extensible.h"

#include "pm_stream.h"

/*
 * What our scan calls a function with, as fcinfo->resultinfo.  A ReturnSetInfo
 * to whoever takes a look: the function may be called through a wrapper of
 * PostgreSQL's, for SECURITY DEFINER and SET.
 */
typedef struct PmStreamRequest
{
	ReturnSetInfo result;		/* with PM_STREAM_MODE in allowedModes */
	const Bitmapset *columns;	/* that are wanted, from 0 */
	const PmStream *stream;		/* NULL until the function has returned */
} PmStreamRequest;

/* A bit of allowedModes that PostgreSQL does not use. */
#define PM_STREAM_MODE	0x40000000

extern const CustomScanMethods pm_stream_scan_methods;

#endif							/* STREAM_H */
