# precmkt: precision marketing inside PostgreSQL.
#
#   make            precmkt.so and the device libraries
#   make install    into the server of PG_CONFIG
#   make check      every test, on a private server (test/check.sh)
#   make demo       a shop and its customer segments (test/demo.sh)
#   make bench      measures beside the usual libraries, writes doc/bench.md
#   make accuracy   its section of accuracy alone, which takes hours
#
# Portable by default: hot loops are compiled for several instruction sets
# and chosen at run time.  OPTFLAGS adds flags of your own, WERROR=1 turns
# warnings into errors, NVCC= leaves the CUDA device out.

# Goals that bring their own set-up; PGXS, which knows a "check" too, is for
# the others.
GOALS = check demo bench accuracy unit fuzz
ifneq ($(filter $(GOALS),$(MAKECMDGOALS)),)

.PHONY: $(GOALS)
check:
	bash test/check.sh
demo:
	bash test/demo.sh
bench:
	bash test/bench/run.sh
accuracy:
	bash test/bench/run.sh accuracy
unit:
	$(MAKE) -C test/unit
fuzz:
	bash test/fuzz/run.sh

else

EXTENSION = precmkt
EXTVERSION = 0.1.0
PG_CONFIG ?= pg_config
OPTFLAGS ?=
NVCC ?= $(shell command -v nvcc 2>/dev/null)

CAPABILITIES = segment ctr metrics recommend
MODULE_big = precmkt
OBJS = $(patsubst %.c,%.o,src/precmkt.c $(wildcard src/numeric/*.c src/host/*.c src/data/*.c \
	src/model/*.c $(CAPABILITIES:%=src/%/*.c)) src/device/device.c)

DATA_built = sql/precmkt--$(EXTVERSION).sql
DATA = $(wildcard sql/precmkt--*--*.sql)
EXTENSION_SQL = $(sort $(wildcard sql/extension/*.sql))

REGRESS = $(patsubst sql/%.sql,%,$(filter-out sql/precmkt--%,$(wildcard sql/*.sql)))
REGRESS_OPTS = --load-extension=plpgsql

WARNINGS = -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers
ifeq ($(WERROR),1)
WARNINGS += -Werror
endif
# PostgreSQL 16 defines PGDLLEXPORT like this, earlier ones leave it empty
PG_CPPFLAGS = -Iinclude '-DPGDLLEXPORT=__attribute__((visibility("default")))'
PG_CFLAGS = -std=gnu11 $(WARNINGS) -fvisibility=hidden $(OPTFLAGS)
SHLIB_LINK = -lm

EXTRA_CLEAN = sql/precmkt--$(EXTVERSION).sql results regression.diffs regression.out \
	tmp_check test/unit/build test/fuzz/build test/bench/build

PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

# numeric loops gain from the optimiser's vectoriser, glue does not; nobody
# asks errno about a square root
src/numeric/%.o src/data/%.o $(CAPABILITIES:%=src/%/%.o): override CFLAGS += -O3 -fno-math-errno

sql/precmkt--$(EXTVERSION).sql: $(EXTENSION_SQL)
	cat $^ > $@

# PGXS does not know which object includes which header
$(OBJS) $(OBJS:.o=.bc): $(wildcard include/*.h src/*/*.h)

include src/device/cpu/device.mk
ifneq ($(NVCC),)
ifneq ($(wildcard src/device/cuda/device.mk),)
include src/device/cuda/device.mk
endif
endif

endif
