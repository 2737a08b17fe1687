/*
 * fault_device.h
 *		A device and a host that fail when they are told to.
 */
#ifndef FAULT_DEVICE_H
#define FAULT_DEVICE_H

#include "pm_device.h"

/*
 * Wraps a device: passes every call on, but the call number `fail_at` (from
 * 1; 0 = none) of those that can fail returns `status` instead.  Put
 * &fault.device into the context.
 */
typedef struct FaultDevice
{
	PmDevice	device;			/* first: the wrappers find the rest by it */
	PmDevice   *inner;
	long		calls;			/* so far, of those that can fail */
	long		fail_at;
	PmStatus	status;
	int			open_runs;		/* Lloyd runs not yet closed */
	int			open_buffers;	/* buffers not yet released */
} FaultDevice;

extern void fault_device(FaultDevice *fault, PmDevice *inner);

/*
 * A host whose interrupted() counts and says yes from the check number
 * `cancel_at` on (from 1; 0 = never).
 */
typedef struct FaultHost
{
	long		checks;
	long		cancel_at;
} FaultHost;

extern bool fault_interrupted(void *host);

/* A context of its own arena (limit 0: none) on a device and a fault host. */
extern void fault_context(PmContext *ctx, PmDevice *device, size_t limit,
						  int threads, FaultHost *host);

#endif							/* FAULT_DEVICE_H */
