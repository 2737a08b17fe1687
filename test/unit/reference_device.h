/*
 * reference_device.h
 *		The whole PmDevice table written naively: one thread, plain loops,
 *		double precision.  What every device is compared with.
 */
#ifndef REFERENCE_DEVICE_H
#define REFERENCE_DEVICE_H

#include "pm_device.h"

/* Fill in the table; nothing needs to be given back. */
extern void reference_device(PmDevice *device);

#endif							/* REFERENCE_DEVICE_H */
