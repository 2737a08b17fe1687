# The CPU device, precmkt_cpu.so: included by the top Makefile, and by
# test/unit/Makefile for its lists and flags.
#
# The kernels (kernel.h) are compiled once for each instruction set and chosen
# at run time (open.c).  The arena and the context's helpers are compiled in a
# second time: a device library resolves nothing from precmkt.so.

CPU_DIR := $(patsubst %/,%,$(dir $(lastword $(MAKEFILE_LIST))))
CPU_ROOT := $(CPU_DIR:%/src/device/cpu=%)
ifeq ($(CPU_ROOT),src/device/cpu)
CPU_ROOT := .
endif
CPU_BUILD ?= $(CPU_DIR)

CPU_NAMES := open parallel blas centroids nearest bounds lloyd sums kernel_generic
CPU_SHARED_NAMES := arena context
CPU_FLAGS_kernel_generic :=
ifneq ($(filter x86_64 amd64,$(shell uname -m)),)
CPU_NAMES += kernel_avx2 kernel_avx512 kernel_avx512bf16
CPU_FLAGS_kernel_avx2 := -mavx2 -mfma
CPU_FLAGS_kernel_avx512 := -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx2 -mfma \
	-mprefer-vector-width=512
CPU_FLAGS_kernel_avx512bf16 := $(CPU_FLAGS_kernel_avx512) -mavx512bf16
endif

CPU_SRCS := $(CPU_NAMES:%=$(CPU_DIR)/%.c) $(CPU_SHARED_NAMES:%=$(CPU_ROOT)/src/numeric/%.c)
CPU_OBJS := $(CPU_NAMES:%=$(CPU_BUILD)/%.o) $(CPU_SHARED_NAMES:%=$(CPU_BUILD)/%.o)
CPU_HEADERS := $(wildcard $(CPU_DIR)/*.h) $(CPU_ROOT)/include/pm_arena.h \
	$(CPU_ROOT)/include/pm_context.h $(CPU_ROOT)/include/pm_device.h
CPU_LIBRARY ?= precmkt_cpu$(DLSUFFIX)
CPU_LIBS := -lopenblas -lpthread -lm

# -ffp-contract=off: distances that decide have the same bits everywhere
CPU_CFLAGS := -std=gnu11 -O3 -fPIC -fvisibility=hidden -ffp-contract=off \
	-fno-math-errno -fno-trapping-math -Wdeclaration-after-statement $(WARNINGS)
CPU_COMPILE = $(CC) $(CPU_CFLAGS) $(CPU_FLAGS_$*) $(OPTFLAGS) -I$(CPU_ROOT)/include

$(CPU_NAMES:%=$(CPU_BUILD)/%.o): $(CPU_BUILD)/%.o: $(CPU_DIR)/%.c $(CPU_HEADERS)
	$(CPU_COMPILE) -c $< -o $@

$(CPU_SHARED_NAMES:%=$(CPU_BUILD)/%.o): $(CPU_BUILD)/%.o: $(CPU_ROOT)/src/numeric/%.c $(CPU_HEADERS)
	$(CPU_COMPILE) -c $< -o $@

$(CPU_LIBRARY): $(CPU_OBJS)
	$(CC) -shared $(OPTFLAGS) $(LDFLAGS) -o $@ $^ $(CPU_LIBS)

# Without PGXS (test/unit) there is nothing to install.
ifneq ($(PGXS),)
all: $(CPU_LIBRARY)
install: install-cpu
uninstall: uninstall-cpu
clean: clean-cpu

.PHONY: install-cpu uninstall-cpu clean-cpu
install-cpu: $(CPU_LIBRARY)
	$(MKDIR_P) '$(DESTDIR)$(pkglibdir)'
	$(INSTALL_SHLIB) $< '$(DESTDIR)$(pkglibdir)/'
uninstall-cpu:
	rm -f '$(DESTDIR)$(pkglibdir)/$(CPU_LIBRARY)'
clean-cpu:
	rm -f $(CPU_LIBRARY) $(CPU_OBJS)
endif
