/*
 * pm_device_loader.h
 *		Which device this backend computes on.
 */
#ifndef PM_DEVICE_LOADER_H
#define PM_DEVICE_LOADER_H

#include "pm_device.h"

/*
 * The device of precmkt.device, loaded on first use.  An ERROR says what is
 * missing where there is none.
 */
extern PmDevice *pm_device_get(void);

/* precmkt.threads, resolved: at least 1. */
extern int	pm_device_threads(void);

#endif							/* PM_DEVICE_LOADER_H */
