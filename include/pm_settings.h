/*
 * pm_settings.h
 *		The extension's configuration parameters.
 */
#ifndef PM_SETTINGS_H
#define PM_SETTINGS_H

#define PM_VERSION "0.1.0"

typedef enum PmDeviceChoice
{
	PM_DEVICE_AUTO,
	PM_DEVICE_CPU,
	PM_DEVICE_CUDA
} PmDeviceChoice;

extern int	pm_setting_device;	/* precmkt.device, a PmDeviceChoice */
extern int	pm_setting_threads; /* precmkt.threads, 0 = chosen */
extern int	pm_setting_max_memory;	/* precmkt.max_memory, kB */

#endif							/* PM_SETTINGS_H */
